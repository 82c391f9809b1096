//! Everything below a folder, once. Written here once too, for a folder of a stranger's can be its own grandchild, and
//! each walk must know that.

use cairn_disk::Spent;

use super::{Files, Kind, ViewError};

/// What a walk meets. Links are not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<'a> {
    /// A link, and where it points.
    Link(&'a str),
    /// A folder; what is in it comes next.
    Folder,
    /// A regular file.
    File,
    /// A device, a socket, a pipe.
    Other,
}

/// A folder on the way down, with the names in it that are still to come.
struct Level {
    path: String,
    names: std::vec::IntoIter<String>,
    identity: Option<u64>,
}

/// Walks through all that is below the folder `top`, names in their order, and gives out the path of each below `top`.
/// Nothing when there is no such folder.
///
/// # Errors
/// What reading meets, [`ViewError::Loop`], [`ViewError::Endless`], and the error of whoever takes the paths.
pub fn walk<E: From<ViewError>>(
    files: &dyn Files,
    top: &str,
    mut each: impl FnMut(&str, Found<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let budget = files.budget();
    let endless = |why: Spent| ViewError::Endless { path: top.to_string(), why };
    let level = |path: String| -> Result<Level, ViewError> {
        let real = format!("{top}/{path}");
        let names = files.list(&real)?.unwrap_or_default().into_iter();
        Ok(Level { identity: files.identity(&real)?, path, names })
    };
    let mut levels = vec![level(String::new())?];
    while let Some(current) = levels.last_mut() {
        let Some(name) = current.names.next() else {
            levels.pop();
            continue;
        };
        budget.entry().map_err(endless)?;
        let path = if current.path.is_empty() { name } else { format!("{}/{name}", current.path) };
        let real = format!("{top}/{path}");
        if let Some(target) = files.link(&real)? {
            each(&path, Found::Link(&target))?;
            continue;
        }
        match files.kind(&real)? {
            Some(Kind::Folder) => {
                budget.depth(levels.len()).map_err(endless)?;
                let inner = level(path)?;
                if inner.identity.is_some() && levels.iter().any(|outer| outer.identity == inner.identity) {
                    return Err(ViewError::Loop { path: real }.into());
                }
                each(&inner.path, Found::Folder)?;
                levels.push(inner);
            }
            Some(Kind::File) => each(&path, Found::File)?,
            Some(Kind::Other) => each(&path, Found::Other)?,
            // Gone since the folder was read.
            None => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use cairn_disk::Budget;
    use cairn_root::Root;

    use super::*;
    use crate::view::Folder;

    #[test]
    fn all_is_met_once_and_no_link_followed() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("top/a/b")).unwrap();
        std::fs::write(dir.path().join("top/a/b/file"), "x").unwrap();
        symlink("..", dir.path().join("top/a/up")).unwrap();
        std::fs::write(dir.path().join("top/last"), "x").unwrap();
        let mut met = Vec::new();
        walk(&Folder::new(Root::open(dir.path()).unwrap(), Budget::shared()), "/top", |path, found| {
            met.push(format!("{path} {found:?}"));
            Ok::<(), ViewError>(())
        })
        .unwrap();
        assert_eq!(met, ["a Folder", "a/b Folder", "a/b/file File", "a/up Link(\"..\")", "last File"]);
    }

    #[test]
    fn folders_that_lie_too_deep_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("d/".repeat(80))).unwrap();
        let folder = Folder::new(Root::open(dir.path()).unwrap(), Budget::shared());
        let error = walk(&folder, "", |_, _| Ok::<(), ViewError>(())).unwrap_err();
        assert!(matches!(error, ViewError::Endless { why: Spent::Depth, .. }), "{error}");
    }
}
