//! Compiles the templates in, so that the function reads no files. A new folder of templates is a new language.

#![expect(clippy::disallowed_methods, reason = "a build script reads its environment; `shared::env` is for functions")]

fn main() {
    minijinja_embed::embed_templates!("templates");
}
