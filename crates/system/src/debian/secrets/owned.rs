//! Which files are a package's, and the words in them.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use super::words;
use crate::debian::error::Error;
use crate::tree::{find_in, read_in, resolve_in};

/// dpkg's lists, scripts and templates.
pub(super) const INFO: &str = "var/lib/dpkg/info";

/// The paths of all packages' files, below the root.
#[derive(Debug)]
pub(super) struct Owned(HashSet<String>);

impl Owned {
    pub(super) fn read(dir: &Path) -> Result<Owned, Error> {
        let mut paths = HashSet::new();
        for (_, text) in info(dir, &["list"])? {
            paths.extend(String::from_utf8_lossy(&text).lines().map(below_usr));
        }
        // What is diverted has another name: `from`, `to` and the package, a line each.
        let diversions = read_in(dir, "var/lib/dpkg/diversions").ok().flatten().unwrap_or_default();
        let diversions = String::from_utf8_lossy(&diversions);
        let lines: Vec<&str> = diversions.lines().collect();
        for [from, to, _] in lines.as_chunks::<3>().0 {
            if paths.contains(&below_usr(from)) {
                paths.insert(below_usr(to));
            }
        }
        Ok(Owned(paths))
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.0.contains(path)
    }

    /// Takes away the words that stand in a file of some package, or in its scripts.
    pub(super) fn take_known(&self, dir: &Path, drawn: &mut HashSet<Vec<u8>>) -> Result<(), Error> {
        if drawn.is_empty() {
            return Ok(());
        }
        // A tree has millions of words, and few begin as one of these.
        let start = |word: &[u8]| usize::from(u16::from_be_bytes([word[0], word[1]]));
        let mut starts = vec![false; 1 << 16];
        drawn.iter().filter(|word| word.len() > 1).for_each(|word| starts[start(word)] = true);
        let take = |bytes: &[u8], drawn: &mut HashSet<Vec<u8>>| {
            words::each(bytes, |word| {
                if starts[start(word)] {
                    drawn.remove(word);
                }
            });
        };
        for (_, text) in info(dir, &["postinst", "preinst", "config", "templates"])? {
            take(&text, drawn);
        }
        let mut paths: Vec<&String> = self.0.iter().collect();
        paths.sort_unstable();
        for path in paths {
            if drawn.is_empty() {
                break;
            }
            // Only what is in the base is here, wherever links in it lead.
            let Some(real) = resolve_in(dir, path) else { continue };
            let file = dir.join(real);
            if file.is_file() {
                let bytes = fs::read(&file).map_err(Error::io("reading", file))?;
                take(&bytes, drawn);
            }
        }
        Ok(())
    }
}

/// The path below the root. /bin and its like are links into /usr, whatever a list says.
fn below_usr(path: &str) -> String {
    let path = path.trim_start_matches('/');
    let aliased = ["bin/", "sbin/", "lib/", "lib32/", "lib64/", "libx32/"].iter().any(|top| path.starts_with(top));
    if aliased { format!("usr/{path}") } else { path.to_string() }
}

/// Files of dpkg's with these endings: package and contents, sorted.
pub(super) fn info(dir: &Path, endings: &[&str]) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let Some(folder) = find_in(dir, INFO).map_err(Error::io("reading", dir.join(INFO)))? else {
        return Err(Error::Tree {
            what: format!("there is no {INFO} in it, where dpkg writes what is in each package"),
        });
    };
    let folder = dir.join(folder);
    let mut found = Vec::new();
    for entry in fs::read_dir(&folder).map_err(Error::io("reading", &folder))? {
        let entry = entry.map_err(Error::io("reading", &folder))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some((package, ending)) = name.rsplit_once('.')
            && endings.contains(&ending)
        {
            let text = fs::read(entry.path()).map_err(Error::io("reading", entry.path()))?;
            found.push((package.split(':').next().unwrap_or(package).to_string(), text));
        }
    }
    found.sort();
    Ok(found)
}
