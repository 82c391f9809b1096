//! The files that a machine file puts on the boot partition (`boot.files`).

use cairn_machine::names::shown;
use cairn_machine::pointer::child;
use cairn_machine::{Checked, Problem, Problems};

use crate::set::{BootFile, Content, Place, Role};

/// Takes them from a function that knows where a `source` is; its error is told with its place in the machine file.
///
/// # Errors
/// Those that cannot be read.
pub fn own_files(
    checked: &Checked,
    read: &mut dyn FnMut(&str) -> Result<Vec<u8>, String>,
) -> Result<Vec<BootFile>, Problems> {
    let (mut files, mut problems): (Vec<BootFile>, Vec<Problem>) = Default::default();
    for (path, file) in &checked.machine.boot.files {
        let bytes = match (&file.text, &file.source) {
            (Some(text), _) => Ok(text.clone().into_bytes()),
            (None, Some(source)) => read(source).map_err(|why| {
                let pointer = child(child("/boot/files", path), "source");
                checked.problem(&pointer, format!("reading {}: {why}", shown(source)), None)
            }),
            (None, None) => Ok(Vec::new()),
        };
        match bytes {
            Ok(bytes) => files.push(BootFile {
                place: Place::Boot,
                path: path.clone(),
                content: Content::Bytes(bytes),
                role: Role::Own,
            }),
            Err(problem) => problems.push(problem),
        }
    }
    match Problems::new(problems) {
        Some(problems) => Err(problems),
        None => Ok(files),
    }
}
