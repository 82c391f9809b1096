//! Programs of a base, run where a base is used: with the base's own libraries, through the base's own dynamic loader, so that nothing of the
//! machine that builds counts. The base must be one that was made here.

use std::path::Path;

use cairn_process::{Tool, ToolError};

use crate::tree::{read_in, resolve_in};

/// Where a base has its libraries, and the loader of its programs. (The usual path of the loader, below `/lib64`, is a
/// link that may be absolute, and would lead out of the base.)
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";
const DYNAMIC_LOADER: &str = "ld-linux-x86-64.so.2";

/// A program of a base (`usr/bin/…`), the package that has it, and what it is needed for; arguments come behind it.
///
/// # Errors
/// [`ToolError::Missing`] when the base has no such program, or nothing to run it with.
pub fn base_program(
    base: &Path,
    program: &str,
    package: &'static str,
    reason: &'static str,
) -> Result<Tool, ToolError> {
    let there = |path: String, package| {
        let missing = || ToolError::Missing { program: base.join(&path).display().to_string(), package, reason };
        resolve_in(base, &path).map(|real| base.join(real)).ok_or_else(missing)
    };
    let program = there(program.into(), package)?;
    let libraries = there(LIBRARIES.into(), "libc6")?;
    let loader = there(format!("{LIBRARIES}/{DYNAMIC_LOADER}"), "libc6")?;
    Ok(Tool::new(loader, package, reason).clean_env().arg("--library-path").arg(libraries).arg(program))
}

/// Reads a file of a base, where it has one: links in it lead nowhere else.
///
/// # Errors
/// The system's.
pub fn read_in_base(base: &Path, path: &str) -> std::io::Result<Option<Vec<u8>>> {
    read_in(base, path)
}
