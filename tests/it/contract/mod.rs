//! Tests of rules that hold for several routes, and of lists that must agree.

mod authorization;
mod bad_input;
mod edge;
mod events;
mod forms;
mod journey;
mod keys_and_values;
mod logs;
mod preconditions;
mod rate_limits;
mod route_lists;
mod throttling;
