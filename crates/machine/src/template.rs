//! The machine file that `cairn init` writes.

use crate::tree::{Scalar, ScalarKind};

const TEMPLATE: &str = include_str!("template.yaml");

/// A commented machine file to start from, for a machine of this name. It checks clean.
pub fn template(hostname: &str) -> String {
    let plain = Scalar { text: hostname.to_owned(), plain: true };
    // `123` and `null` are good host names, and something else to other readers of YAML.
    let shown = match plain.kind() {
        ScalarKind::Text => hostname.to_owned(),
        _ => format!("\"{hostname}\""),
    };
    TEMPLATE.replace("@HOSTNAME@", &shown)
}
