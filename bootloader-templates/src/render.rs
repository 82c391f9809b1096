//! Rendering: one environment with every template in it, strict about names, and a check of every value.

use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

/// The templates, by the names under which they are rendered.
const TEMPLATES: &[(&str, &str)] = &[
    ("systemd-boot/entry.conf", include_str!("../templates/systemd-boot/entry.conf")),
    ("systemd-boot/loader.conf", include_str!("../templates/systemd-boot/loader.conf")),
];

/// Why a loader's file could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// A value that would change the meaning of the file around it.
    #[error("the boot entry's {field} holds {what}, which a boot loader's configuration cannot carry: {value:?}")]
    Value {
        /// The key of the entry.
        field: &'static str,
        /// What is wrong with the value.
        what: &'static str,
        /// The value.
        value: String,
    },
    /// The template itself is wrong.
    #[error("rendering the template {name}")]
    Template {
        /// Its name.
        name: &'static str,
        /// Why.
        source: minijinja::Error,
    },
}

/// Refuses a value that one line of `key value` cannot carry.
pub(crate) fn one_line(field: &'static str, value: &str) -> Result<(), TemplateError> {
    let refuse = |what| Err(TemplateError::Value { field, what, value: value.to_string() });
    if value.is_empty() {
        return refuse("nothing");
    }
    if value.chars().any(char::is_control) {
        return refuse("a line break or another control character");
    }
    if value.trim() != value {
        return refuse("a blank at its start or end");
    }
    // systemd-boot takes an outer pair of quotation marks off a value.
    if value.starts_with(['"', '\'']) {
        return refuse("a quotation mark at its start");
    }
    Ok(())
}

pub(crate) fn render(name: &'static str, values: impl Serialize) -> Result<String, TemplateError> {
    let attempt = || {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_keep_trailing_newline(true);
        for (name, text) in TEMPLATES {
            environment.add_template(name, text)?;
        }
        environment.get_template(name)?.render(values)
    };
    attempt().map_err(|source| TemplateError::Template { name, source })
}
