//! Where a base has the firmware that a module names: in the folders in which the kernel looks, plain or compressed.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use super::pattern::{is_pattern, matches};
use crate::tree::{find_in, is_absence};

/// The kernel looks into these in this order, each below `/lib/firmware`; `{}` is its release.
const FOLDERS: [&str; 4] = ["updates/{}/", "updates/", "{}/", ""];
/// It asks for the file itself, then for what it can unpack.
const ENDINGS: [&str; 3] = ["", ".zst", ".xz"];

/// Every file by which the base has firmware of this name, which may have wildcards; relative to the base, links not followed.
/// Nothing, if the base has none.
pub fn find(base: &Path, release: &str, name: &str) -> io::Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    // The kernel refuses such names too.
    if name.is_empty() || name.starts_with('/') || name.split('/').any(|part| part == "..") {
        return Ok(found);
    }
    for folder in FOLDERS {
        for ending in ENDINGS {
            let path = format!("{}{name}{ending}", folder.replace("{}", release));
            for path in expand(base, "usr/lib/firmware", &path)? {
                if let Some(real) = find_in(base, &path)?
                    && fs::metadata(base.join(real))?.is_file()
                {
                    found.insert(path);
                }
            }
        }
    }
    Ok(found)
}

/// The paths below `folder` that a name with wildcards stands for; a name without any stands for itself, there or not.
fn expand(base: &Path, folder: &str, name: &str) -> io::Result<Vec<String>> {
    let mut paths = vec![folder.to_string()];
    for part in name.split('/').filter(|p| !p.is_empty() && *p != ".") {
        let mut longer = Vec::new();
        for path in paths {
            if is_pattern(part) {
                let names = list(base, &path)?.into_iter().filter(|n| matches(part, n));
                longer.extend(names.map(|n| format!("{path}/{n}")));
            } else {
                longer.push(format!("{path}/{part}"));
            }
        }
        paths = longer;
    }
    Ok(paths)
}

/// What is in a folder of the base; nothing, if it is none.
fn list(base: &Path, folder: &str) -> io::Result<Vec<String>> {
    let Some(real) = find_in(base, folder)? else { return Ok(Vec::new()) };
    let entries = match fs::read_dir(base.join(real)) {
        Err(error) if is_absence(&error) => return Ok(Vec::new()),
        entries => entries?,
    };
    // A name that is not UTF-8 is not one that a module names.
    let names = entries.map(|entry| Ok(entry?.file_name().into_string().ok()));
    Ok(names.collect::<io::Result<Vec<_>>>()?.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn base(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join("usr/lib/firmware").join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        dir
    }

    fn found(base: &tempfile::TempDir, name: &str) -> Vec<String> {
        let paths = find(base.path(), "6.1", name).unwrap();
        paths.iter().map(|p| p.strip_prefix("usr/lib/firmware/").unwrap().to_string()).collect()
    }

    #[test]
    fn it_is_found_where_the_kernel_looks_plain_or_compressed() {
        let all = ["6.1/a.bin", "a.bin", "a.bin.xz", "a.bin.zst", "updates/6.1/a.bin.xz", "updates/a.bin"];
        let base = base(&[&all[..], &["6.2/a.bin", "a.bin.gz", "xa.bin", "d/e/f.fw.xz"]].concat());
        assert_eq!(found(&base, "a.bin"), all);
        assert_eq!(found(&base, "d/e/f.fw"), ["d/e/f.fw.xz"]);
        for missing in ["b.bin", "d/e", "a.bin/x", "d/e/f", "nothing/at/all"] {
            assert_eq!(found(&base, missing), Vec::<String>::new(), "{missing}");
        }
    }

    #[test]
    fn wildcards_stand_for_the_files_that_are_there() {
        let base =
            base(&["brcm/b43-sdio.x.bin", "brcm/b43-sdio.bin.zst", "brcm/b43-pcie.bin", "brcm/x/b43-sdio.y.bin"]);
        assert_eq!(found(&base, "brcm/b43*-sdio*.bin"), ["brcm/b43-sdio.bin.zst", "brcm/b43-sdio.x.bin"]);
        assert_eq!(found(&base, "*/b43-pcie.bin"), ["brcm/b43-pcie.bin"]);
    }

    /// Firmware has links to files and to folders; none leads out of the base.
    #[test]
    fn links_are_followed_inside_the_base() {
        let base = base(&["real/one.fw"]);
        let folder = base.path().join("usr/lib/firmware");
        symlink("real/one.fw", folder.join("two.fw")).unwrap();
        symlink("/usr/lib/firmware/real", folder.join("dir")).unwrap();
        symlink("gone", folder.join("dangling.fw")).unwrap();
        let outside = tempfile::NamedTempFile::new().unwrap();
        symlink(outside.path(), folder.join("outside.fw")).unwrap();
        assert_eq!(found(&base, "two.fw"), ["two.fw"]);
        assert_eq!(found(&base, "dir/one.fw"), ["dir/one.fw"]);
        assert_eq!(found(&base, "dir/*"), ["dir/one.fw"]);
        for nothing in [
            "dangling.fw",
            "outside.fw",
            "dir",
            "../firmware/two.fw",
            "real/../two.fw",
            "/etc/passwd",
            "",
            &"x".repeat(300),
        ] {
            assert_eq!(found(&base, nothing), Vec::<String>::new(), "{nothing}");
        }
    }
}
