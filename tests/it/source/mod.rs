//! The source itself: its layout, imports, settings, and wording. These tests read files and start nothing.

mod layers;
mod layout;
mod settings;
mod wording;
