-- Networks from which a user has signed in or refreshed a session. They outlive sessions, so that guesses from other networks
-- cannot keep the owner out.
create table known_networks (
    user_id uuid not null,
    -- An IPv4 address or an IPv6 /64 network.
    network text not null,
    seen_at timestamptz not null,
    constraint known_networks_pkey primary key (user_id, network),
    constraint known_networks_user_fkey foreign key (user_id) references users (id) on delete cascade
);
