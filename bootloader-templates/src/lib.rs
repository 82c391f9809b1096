//! The text of loader entries and loader configuration, made from templates that a person can read.
//!
//! The templates are the files under `templates/`. Every value is checked before it is put in: a newline, a control
//! character or a leading blank would change what the loader reads, so such a value is refused, never escaped by guess.

mod render;
pub mod systemd_boot;

pub use render::TemplateError;
