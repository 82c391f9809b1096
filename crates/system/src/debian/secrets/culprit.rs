//! Which package's script has made a file that no package owns.

use std::path::Path;

use super::owned::info;
use crate::debian::error::Error;

/// The package whose script names the file, its name or its folder; else the one that the nearest folder is of alone.
pub(super) fn of(dir: &Path, path: &str) -> Result<Option<String>, Error> {
    let scripts = info(dir, &["postinst", "config", "preinst"])?;
    let lists = info(dir, &["list"])?;
    let naming = |what: &str| {
        let has = |text: &[u8]| text.windows(what.len()).any(|w| w == what.as_bytes());
        scripts.iter().find(|(_, text)| has(text)).map(|(package, _)| package.clone())
    };
    let alone = |folder: &str| {
        let line = format!("/{folder}");
        let has = |text: &[u8]| text.split(|b| *b == b'\n').any(|l| l == line.as_bytes());
        let mut owners = lists.iter().filter(|(_, text)| has(text)).map(|(package, _)| package);
        owners.next().filter(|_| owners.next().is_none()).cloned()
    };
    let folders = || {
        std::iter::successors(path.rsplit_once('/').map(|(folder, _)| folder), |p| p.rsplit_once('/').map(|(f, _)| f))
            .filter(|folder| folder.contains('/'))
    };
    Ok(naming(&format!("/{path}"))
        .or_else(|| folders().find_map(alone))
        .or_else(|| folders().find_map(|folder| naming(&format!("/{folder}"))))
        .or_else(|| naming(path.rsplit('/').next().unwrap_or(path))))
}
