-- The columns are described in postgresql/V7__known_networks.sql.
create table known_networks (
    user_id uuid not null,
    network text not null,
    seen_at timestamptz not null,
    constraint known_networks_pkey primary key (user_id, network)
);
