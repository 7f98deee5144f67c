//! Tests of rules that hold for several routes, and of lists that must agree.

mod authorization;
mod bad_input;
mod corpus;
mod edge;
mod events;
mod forms;
mod journey;
mod json_suite;
mod jws;
mod keys_and_values;
mod logs;
mod naughty_strings;
mod preconditions;
mod rate_limits;
mod route_lists;
mod throttling;
