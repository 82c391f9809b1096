//! The text of loader entries and loader configuration, made from templates that a person can read.
//!
//! The templates are the files under `templates/`. Every value is checked before it is put in. What a loader's file
//! cannot carry (a newline, a control character, a leading blank) is refused, never mended by guess; what GRUB's script
//! language would read as its own is quoted, by the renderer and not by the template, so that it cannot be forgotten.

pub mod grub;
mod render;
pub mod systemd_boot;

pub use render::TemplateError;
