//! Reads what the plan needs to know: the system's links, its list of special files, the accounts of both sides.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sys_mount::{FilesystemType, Mount};

use super::modes;
use super::plan::{Facts, UPPER};
use crate::accounts::files::{Accounts, NAMES};
use crate::accounts::merge::Input;
use crate::accounts::record::Record;
use crate::error::{Context, Error};

/// The record of accounts.
pub const RECORD: &str = "/var/lib/cairn/accounts";
const FIRST_PASSWORDS: &str = "/var/lib/cairn/passwords";
/// How long the device of a separate /var may take to appear, in tenths of a second.
const VAR_PATIENCE: u32 = 300;

/// A path of the running machine as it is found now, below the new root.
pub fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// Reads all facts.
pub fn read(root: &Path, system: &Path) -> Result<(Facts, Input), Error> {
    let here = below(root, system);
    if !here.is_dir() {
        return Err(Error::new(format!("the system {} is not on the root file system", system.display())));
    }
    let link = |name: &str| fs::read_link(here.join(name));
    let must = |name: &str| link(name).with_context(|| format!("reading the link {}/{name}", system.display()));
    let list = here.join("modes");
    let text = fs::read_to_string(&list).with_context(|| format!("reading {}", list.display()))?;
    let facts = Facts {
        system: system.to_path_buf(),
        base: must("base")?,
        etc: must("etc")?,
        usr: link("usr").ok(),
        special: modes::parse(&text)?,
    };
    let accounts = Input {
        declared: accounts(&below(root, &facts.etc))?,
        machine: accounts(&below(root, Path::new(UPPER)))?,
        record: Record::parse(&text_or_empty(&below(root, Path::new(RECORD)))?),
        first_passwords: first_passwords(&below(root, Path::new(FIRST_PASSWORDS)))?,
    };
    Ok((facts, accounts))
}

/// Whether the system's init can be started, once the root is put together: a program, or a script.
pub fn check_init(root: &Path, system: &Path) -> Result<(), Error> {
    let named = system.join("init");
    let target = fs::read_link(below(root, &named)).unwrap_or_else(|_| named.clone());
    let path = below(root, &named.parent().unwrap_or(system).join(target));
    let doing = || format!("reading the system's init {}", path.display());
    let mut head = [0; 4];
    let mut file = fs::File::open(&path).with_context(doing)?;
    let length = file.read(&mut head).with_context(doing)?;
    let executable = file.metadata().with_context(doing)?.permissions().mode() & 0o111 != 0;
    if executable && (head[..length].starts_with(b"\x7fELF") || head[..length].starts_with(b"#!")) {
        return Ok(());
    }
    Err(Error::new(format!("the system's init {} is no program", path.display())))
}

/// The text of a file; empty if there is none, or none that is a file (a deletion in an overlay is a device node).
pub fn text_or_empty(path: &Path) -> Result<String, Error> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_file() => {
            // Names in other encodings must not stop the machine.
            let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }
        _ => Ok(String::new()),
    }
}

fn accounts(folder: &Path) -> Result<Accounts, Error> {
    let mut texts = [const { String::new() }; 4];
    for (text, name) in texts.iter_mut().zip(NAMES) {
        *text = text_or_empty(&folder.join(name))?;
    }
    Ok(Accounts::parse([&texts[0], &texts[1], &texts[2], &texts[3]]))
}

fn first_passwords(folder: &Path) -> Result<BTreeMap<String, String>, Error> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(BTreeMap::new()) };
    let mut found = BTreeMap::new();
    for entry in entries.flatten() {
        let hash = text_or_empty(&entry.path())?;
        // A line break or a colon would make another line or field of shadow.
        let hash = hash.trim();
        if let (Ok(name), false) = (entry.file_name().into_string(), hash.is_empty() || hash.contains([':', '\n'])) {
            found.insert(name, hash.to_string());
        }
    }
    Ok(found)
}

/// Mounts a `/var` of its own, if the system's fstab has one: the machine's state lies there.
pub fn mount_var(root: &Path, system: &Path) -> Result<(), Error> {
    let Ok(etc) = fs::read_link(below(root, system).join("etc")) else { return Ok(()) };
    let fstab = text_or_empty(&below(root, &etc).join("fstab"))?;
    let Some((device, kind)) = var_device(&fstab) else { return Ok(()) };
    for _ in 0..VAR_PATIENCE {
        if device.exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    crate::grow::check(&device)?;
    let at = root.join("var");
    fs::create_dir_all(&at).context("making /var")?;
    Mount::builder()
        .fstype(FilesystemType::Manual(&kind))
        .mount(&device, &at)
        .with_context(|| format!("mounting {} at /var", device.display()))?;
    Ok(())
}

fn var_device(fstab: &str) -> Option<(PathBuf, String)> {
    fstab.lines().filter(|l| !l.starts_with('#')).find_map(|line| {
        let f: Vec<&str> = line.split_ascii_whitespace().collect();
        let [spec, "/var", kind, ..] = f[..] else { return None };
        let device = match spec.split_once('=') {
            Some(("UUID", id)) => Path::new("/dev/disk/by-uuid").join(id),
            Some(("PARTUUID", id)) => Path::new("/dev/disk/by-partuuid").join(id.to_lowercase()),
            _ => PathBuf::from(spec),
        };
        Some((device, kind.to_string()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_var_of_its_own_is_found_in_fstab() {
        let fstab = "# x\nUUID=1 /home ext4 defaults 0 2\nPARTUUID=AB-2 /var ext4 defaults 0 2\n";
        assert_eq!(var_device(fstab), Some(("/dev/disk/by-partuuid/ab-2".into(), "ext4".into())));
        assert_eq!(var_device("UUID=1 /var/log ext4 defaults 0 2\n"), None);
    }

    #[test]
    fn an_init_that_cannot_be_started_is_told() {
        let root = std::env::temp_dir().join(format!("cairn-stage1-init-{}", std::process::id()));
        let system = Path::new("/nix/store/s-system");
        fs::create_dir_all(below(&root, system)).unwrap();
        fs::create_dir_all(root.join("usr/lib")).unwrap();
        let told = || check_init(&root, system).map_err(|e| e.to_string()).err();
        assert!(told().unwrap().starts_with("reading the system's init"));
        std::os::unix::fs::symlink("/usr/lib/systemd", below(&root, &system.join("init"))).unwrap();
        assert!(told().unwrap().contains("/usr/lib/systemd: No such file"));
        let program = root.join("usr/lib/systemd");
        fs::write(&program, "\x7fELF...").unwrap();
        assert!(told().unwrap().ends_with("is no program"));
        fs::set_permissions(&program, fs::Permissions::from_mode(0o555)).unwrap();
        assert_eq!(told(), None);
        fs::remove_file(&program).unwrap();
        fs::write(&program, "").unwrap();
        assert!(told().unwrap().ends_with("is no program"));
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn a_first_password_that_would_break_shadow_is_left_out() {
        let dir = std::env::temp_dir().join(format!("cairn-stage1-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("ann"), "$y$j9T$x\n").unwrap();
        fs::write(dir.join("bob"), "a:b").unwrap();
        fs::write(dir.join("cat"), "a\nroot::0").unwrap();
        let found = first_passwords(&dir).unwrap();
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(found, [("ann".to_string(), "$y$j9T$x".to_string())].into());
    }
}
