//! Reads what the plan needs to know: the system's links and its list of special files. Mounts a `/var` of its own.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sys_mount::{FilesystemType, Mount};

use super::modes;
use super::plan::{Facts, STATE};
use super::variable::Booting;
use crate::error::{Context, Error};
use crate::folder::MOST_TEXT;
use crate::root::Root;

/// Where the generations are.
const PROFILES: &str = "/nix/var/nix/profiles";
/// What the machine remembers of them, in [`STATE`]; `cairn_boot::Record` is its form.
const RECORD_OF_BOOTS: &str = "boot.json";
/// How long the device of a separate /var may take to appear, in tenths of a second.
const VAR_PATIENCE: u32 = 300;

/// Reads what the plan needs.
pub fn read(root: &Root, system: &Path) -> Result<Facts, Error> {
    if root.folder(system).is_err() {
        return Err(Error::new(format!("the system {} is not on the root file system", system.display())));
    }
    let link = |name: &str| root.link(&system.join(name));
    let must = |name: &str| link(name).with_context(|| format!("reading the link {}/{name}", system.display()));
    let list = system.join("modes");
    let text = root.text(&list).with_context(|| format!("reading {}", list.display()))?;
    Ok(Facts {
        system: system.to_path_buf(),
        base: must("base")?,
        etc: must("etc")?,
        usr: link("usr").ok(),
        special: modes::parse(&text)?,
    })
}

/// Whether the system's init can be started, once the root is put together: a program, or a script.
pub fn check_init(root: &Root, system: &Path) -> Result<(), Error> {
    let named = system.join("init");
    let path = root.link(&named).map_or_else(|_| named.clone(), |target| system.join(target));
    let doing = || format!("reading the system's init {}", path.display());
    let mut head = [0; 4];
    let mut file = root.file(&named).with_context(doing)?;
    let length = file.read(&mut head).with_context(doing)?;
    let executable = file.metadata().with_context(doing)?.permissions().mode() & 0o111 != 0;
    if executable && (head[..length].starts_with(b"\x7fELF") || head[..length].starts_with(b"#!")) {
        return Ok(());
    }
    Err(Error::new(format!("the system's init {} is no program", path.display())))
}

/// The bases of the machine's generations that have booted well, as the machine's record of them says. Without a record the
/// only thing that is known is which base may be new: the one that boots.
pub fn booted_bases(root: &Root, booting: Booting<'_>) -> BTreeSet<PathBuf> {
    let text = root.folder(Path::new(STATE)).and_then(|state| state.text(RECORD_OF_BOOTS, MOST_TEXT));
    let good = text.ok().and_then(|text| good_generations(&text));
    let mut bases: BTreeSet<PathBuf> = generations(root)
        .filter(|(number, _)| good.as_ref().is_none_or(|good| good.contains(number)))
        .map(|it| it.1)
        .collect();
    match good {
        // Its link may be gone; what the boot menu says counts.
        Some(good) if booting.generation.is_some_and(|number| good.contains(&number)) => {
            bases.insert(booting.base.to_path_buf());
        }
        Some(_) => {}
        None => {
            bases.remove(booting.base);
        }
    }
    bases
}

/// The number and the base of each generation that there is.
fn generations(root: &Root) -> impl Iterator<Item = (u64, PathBuf)> {
    let profiles = root.folder(Path::new(PROFILES)).ok();
    let names = profiles.as_ref().and_then(|profiles| profiles.names().ok()).unwrap_or_default();
    names.into_iter().filter_map(move |name| {
        let number = name.to_str()?.strip_prefix("system-")?.strip_suffix("-link")?.parse().ok()?;
        let system = profiles.as_ref()?.link(&name).ok()?;
        Some((number, root.link(&system.join("base")).ok()?))
    })
}

/// The numbers in the list `"good"` of the record's JSON, if it is there as a whole. (No string in JSON can hold the same
/// characters: its quotation marks have a backslash before them.)
fn good_generations(text: &str) -> Option<BTreeSet<u64>> {
    text.match_indices("\"good\"").find_map(|(at, name)| {
        let list = text[at + name.len()..].trim_start().strip_prefix(':')?.trim_start().strip_prefix('[')?;
        let (numbers, _) = list.split_once(']')?;
        if numbers.trim().is_empty() {
            return Some(BTreeSet::new());
        }
        numbers.split(',').map(|number| number.trim().parse().ok()).collect()
    })
}

/// Mounts a `/var` of its own, if the system's fstab has one: the machine's state lies there.
pub fn mount_var(root: &Root, system: &Path) -> Result<(), Error> {
    let Some((device, kind)) = own_var(root, system)? else { return Ok(()) };
    for _ in 0..VAR_PATIENCE {
        if device.exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    crate::grow::check(&device)?;
    root.top().make("var", 0o755).context("making /var")?;
    let at = root.real(Path::new("/var")).context("opening /var")?;
    Mount::builder()
        .fstype(FilesystemType::Manual(&kind))
        .mount(&device, &at)
        .with_context(|| format!("mounting {} at /var", device.display()))?;
    Ok(())
}

/// The device of a `/var` of its own, and the kind of file system on it, if the system's fstab has one.
pub fn own_var(root: &Root, system: &Path) -> Result<Option<(PathBuf, String)>, Error> {
    let Ok(etc) = root.link(&system.join("etc")) else { return Ok(None) };
    match root.text(&etc.join("fstab")) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        text => Ok(var_device(&text.context("reading the system's fstab")?)),
    }
}

/// Where the system's fstab has file systems below `/var` and `/srv`, those that others are in first.
pub fn own_places(root: &Root, system: &Path) -> Result<Vec<PathBuf>, Error> {
    let Ok(etc) = root.link(&system.join("etc")) else { return Ok(Vec::new()) };
    let text = root.text(&etc.join("fstab")).context("reading the system's fstab")?;
    Ok(places_in(&text))
}

fn places_in(fstab: &str) -> Vec<PathBuf> {
    let targets = fstab.lines().filter(|l| !l.starts_with('#')).filter_map(|l| l.split_ascii_whitespace().nth(1));
    let targets = targets.filter_map(super::modes::unescape).map(PathBuf::from);
    let plain = |path: &PathBuf| path.components().all(|part| !matches!(part, std::path::Component::ParentDir));
    let below = |path: &PathBuf| path.starts_with("/srv") || path.starts_with("/var") && path != Path::new("/var");
    let mut places: Vec<PathBuf> = targets.filter(|path| plain(path) && below(path)).collect();
    places.sort();
    places.dedup();
    places
}

/// The device of a `/var` of its own that an fstab(5) names, and the kind of file system on it.
pub fn var_device(fstab: &str) -> Option<(PathBuf, String)> {
    fstab.lines().filter(|l| !l.starts_with('#')).find_map(|line| {
        let f: Vec<&str> = line.split_ascii_whitespace().collect();
        let [spec, "/var", kind, ..] = f[..] else { return None };
        let device = match spec.split_once('=') {
            Some(("UUID", id)) => Path::new("/dev/disk/by-uuid").join(id),
            Some(("PARTUUID", id)) => Path::new("/dev/disk/by-partuuid").join(id.to_lowercase()),
            _ => PathBuf::from(spec),
        };
        device.starts_with("/dev").then(|| (device, kind.to_string()))
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_var_of_its_own_is_found_in_fstab() {
        let fstab = "# x\nUUID=1 /home ext4 defaults 0 2\nPARTUUID=AB-2 /var ext4 defaults 0 2\n";
        assert_eq!(var_device(fstab), Some(("/dev/disk/by-partuuid/ab-2".into(), "ext4".into())));
        assert_eq!(var_device("UUID=1 /var/log ext4 defaults 0 2\n"), None);
    }

    #[test]
    fn file_systems_below_var_and_srv_are_found_in_fstab() {
        let fstab = "# x\nUUID=1 /var/log/audit ext4 x 0 2\nUUID=2 /var/log ext4 x 0 2\nUUID=3 /var ext4 x 0 2\n\
                     UUID=4 /srv ext4 x 0 2\nUUID=5 none swap x 0 0\nUUID=6 /var/../etc ext4 x 0 0\n\
                     UUID=7 /srv/a\\040b ext4 x 0 2\nUUID=8 /home ext4 x\n\nUUID=9\n";
        let found = ["/srv", "/srv/a b", "/var/log", "/var/log/audit"].map(PathBuf::from);
        assert_eq!(places_in(fstab), found);
    }

    #[test]
    fn an_init_that_cannot_be_started_is_told() {
        let top = std::env::temp_dir().join(format!("cairn-stage1-init-{}", std::process::id()));
        let system = Path::new("/nix/store/s-system");
        let here = top.join("nix/store/s-system");
        fs::create_dir_all(&here).unwrap();
        fs::create_dir_all(top.join("usr/lib")).unwrap();
        let root = Root::open(&top).unwrap();
        let told = || check_init(&root, system).map_err(|e| e.to_string()).err();
        assert!(told().unwrap().starts_with("reading the system's init"));
        std::os::unix::fs::symlink("/usr/lib/systemd", here.join("init")).unwrap();
        assert!(told().unwrap().contains("/usr/lib/systemd: No such file"));
        let program = top.join("usr/lib/systemd");
        fs::write(&program, "\x7fELF...").unwrap();
        assert!(told().unwrap().ends_with("is no program"));
        fs::set_permissions(&program, fs::Permissions::from_mode(0o555)).unwrap();
        assert_eq!(told(), None);
        fs::remove_file(&program).unwrap();
        fs::write(&program, "").unwrap();
        assert!(told().unwrap().ends_with("is no program"));
        fs::remove_dir_all(&top).unwrap();
    }

    #[test]
    fn the_bases_that_have_booted_are_those_of_good_generations() {
        let top = std::env::temp_dir().join(format!("cairn-stage1-bases-{}", std::process::id()));
        let profiles = top.join("nix/var/nix/profiles");
        fs::create_dir_all(&profiles).unwrap();
        fs::create_dir_all(top.join("var/lib/cairn")).unwrap();
        for (number, base) in [(1, "a"), (2, "b"), (3, "b")] {
            let system = format!("/nix/store/{number}");
            fs::create_dir_all(top.join(&system[1..])).unwrap();
            std::os::unix::fs::symlink(format!("/nix/store/{base}"), top.join(&system[1..]).join("base")).unwrap();
            std::os::unix::fs::symlink(system, profiles.join(format!("system-{number}-link"))).unwrap();
        }
        let root = Root::open(&top).unwrap();
        let bases = |generation| {
            let booting = Booting { base: Path::new("/nix/store/b"), generation };
            let found = booted_bases(&root, booting);
            found.iter().map(|base| base.file_name().unwrap().to_str().unwrap().to_string()).collect::<String>()
        };
        let record = top.join("var/lib/cairn/boot.json");
        assert_eq!((bases(Some(3)), bases(None)), ("a".into(), "a".into()), "there is no record");
        fs::write(&record, "{\"version\":1,\"files\":{\"good\":\"x\"},\n  \"good\": [\n    1\n  ],\"failed\":[2,3]}")
            .unwrap();
        assert_eq!((bases(Some(3)), bases(Some(1)), bases(None)), ("a".into(), "ab".into(), "a".into()));
        fs::write(&record, "{\"version\":1,\"good\":[1,3],\"failed\":[2]}").unwrap();
        assert_eq!(bases(Some(2)), "ab");
        fs::write(&record, "{\"version\":1,\"good\":[]}").unwrap();
        assert_eq!(bases(Some(3)), "");
        for damaged in ["", "{\"good\":[1,", "{\"good\":[1,x]}", "{\"good\":7}", "\0\0\0"] {
            fs::write(&record, damaged).unwrap();
            assert_eq!(bases(Some(3)), "a", "{damaged}");
        }
        fs::remove_dir_all(&top).unwrap();
    }
}
