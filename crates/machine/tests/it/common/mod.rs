//! What the tests of this crate share.
#![allow(dead_code, reason = "each test binary uses its own part of it")]

use std::path::{Path, PathBuf};

use cairn_machine::{Checked, Problems, SourceFile};

/// The body of an SSH key that nobody has.
pub const KEY_BLOB: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIDwYJgVdFx0xHnWSbZPXNJqWVxE3gJ6bq2zKo0m3tq5d";

/// The smallest machine file.
pub const LEAST: &str = "version: 1\nhostname: least\nsource: {debian: {}}\ndisks: {main: {layout: uefi}}\n";

/// The repository's folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}

/// The machine files in examples/, by name.
pub fn examples() -> Vec<(String, String)> {
    let mut examples: Vec<(String, String)> = std::fs::read_dir(root().join("examples"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(&path).unwrap()))
        .collect();
    examples.sort();
    examples
}

/// Checks a machine file that includes nothing.
pub fn check(text: &str) -> Result<Checked, Problems> {
    check_bytes(text.as_bytes())
}

/// Checks bytes as a machine file that includes nothing.
pub fn check_bytes(bytes: &[u8]) -> Result<Checked, Problems> {
    cairn_machine::check(&SourceFile::new("m.yaml", bytes), &mut |_| Err("no such file".into()))
}

/// The problems of a text, one a line: `LINE:COLUMN: message / help`.
pub fn problems(text: &str) -> String {
    match check(text) {
        Ok(_) => String::new(),
        Err(problems) => {
            let lines: Vec<String> = problems
                .iter()
                .map(|p| {
                    let help = p.help.as_deref().map(|help| format!(" / {help}")).unwrap_or_default();
                    format!("{}:{}: {}{help}", p.line, p.column, p.message)
                })
                .collect();
            lines.join("\n")
        }
    }
}

/// A YAML text as JSON, by a reader that is not Cairn's.
pub fn to_json(text: &str) -> serde_json::Value {
    serde_yaml::from_str(text).unwrap()
}
