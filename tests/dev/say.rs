//! Lines for the person, in the shape of cargo's own.

/// A step: a verb in cargo's column, then what it is about.
pub fn step(verb: &str, about: &str) {
    println!("{verb:>12} {about}");
}

/// A line that goes on where the step above ended.
pub fn more(text: &str) {
    step("", text);
}
