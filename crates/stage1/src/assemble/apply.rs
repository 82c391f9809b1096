//! Carries out one step of the plan.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sys_mount::{FilesystemType, Mount, MountFlags};

use super::apart;
use super::modes::Special;
use super::overlay::{self, Layers};
use super::plan::{self, Facts, Step};
use super::upper::{self, Upper};
use super::variable::{self, Booting};
use crate::error::{Context, Error};
use crate::folder::{Folder, Kind};
use crate::notes::Notes;
use crate::root::Root;

/// One second past 1970, like everything in the store: systemd compares the age of /usr and /etc with it
/// (`ConditionNeedsUpdate=`), and must find nothing newer.
const STORE_TIME: Duration = Duration::from_secs(1);

/// What the steps need besides themselves.
#[derive(Debug)]
pub struct Boot<'a> {
    pub root: &'a Root,
    pub facts: &'a Facts,
    pub generation: Option<u64>,
    pub upper: &'a Upper,
}

/// Carries out `step`.
pub fn apply(step: &Step, boot: &Boot<'_>, notes: &mut Notes) -> Result<(), Error> {
    let root = boot.root;
    match step {
        Step::Folder { path, mode } => {
            let made = root.parent(path).and_then(|(parent, name)| parent.make(name, *mode));
            made.with_context(|| format!("making {}", path.display()))
        }
        Step::Link { path, target } => {
            let made = root.made_parent(path).and_then(|(parent, name)| parent.put_link(name, target));
            made.with_context(|| format!("making the link {}", path.display()))
        }
        Step::RunLink { path, target } => {
            let parent = path.parent().unwrap_or(Path::new("/run"));
            let made = Folder::open(parent)
                .and_then(|parent| parent.put_link(path.file_name().unwrap_or(path.as_os_str()), target));
            made.with_context(|| format!("making the link {}", path.display()))
        }
        Step::Tmpfs { path } => {
            fs::create_dir_all(path).with_context(|| format!("making {}", path.display()))?;
            let mount = Mount::builder().fstype(FilesystemType::Manual("tmpfs")).data("mode=0755,size=25%");
            done(mount.flags(MountFlags::NODEV).mount("cairn-special", path)).context("mounting the special layer")
        }
        Step::Special { entry, sources, layer } => {
            let found = sources.iter().find(|source| root.kind(source).is_ok());
            special_file(entry, root, found.map(PathBuf::as_path), layer)
                .with_context(|| format!("making the special file /{}", entry.path.display()))
        }
        Step::Seal { path } => {
            age(path).context("setting the special layer's times")?;
            let flags = MountFlags::REMOUNT | MountFlags::RDONLY | MountFlags::NODEV;
            done(Mount::builder().fstype(FilesystemType::Manual("tmpfs")).flags(flags).mount("cairn-special", path))
                .context("making the special layer read-only")
        }
        Step::Upper => upper::write(boot.upper, root, notes),
        Step::Overlay { at, special, lower, upper: None } => overlay::read_only(root, at, special, lower),
        Step::Overlay { at, special, lower, upper: Some((layer, work)) } => {
            overlay::writable(boot, at, &Layers { special, lower, layer, work }, notes)
        }
        Step::Variable => {
            let booting = Booting { base: &boot.facts.base, generation: boot.generation };
            variable::fill(root, booting, &boot.facts.special, notes)?;
            apart::served(root, &boot.facts.base, &boot.facts.special, notes).unwrap_or_else(|e| notes.say(e));
            // They say too that this is done.
            for link in plan::own_links() {
                apply(&link, boot, notes).unwrap_or_else(|e| notes.say(e));
            }
            Ok(())
        }
        Step::Bind { from, at } => {
            let doing = || format!("mounting {}", at.display());
            let target = match root.real(at) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
                target => target.with_context(doing)?,
            };
            let source = root.real(from).with_context(doing)?;
            let mount = Mount::builder().fstype(FilesystemType::Manual("none")).flags(MountFlags::BIND);
            done(mount.mount(source, target)).with_context(doing)
        }
        Step::ReadOnly { path } => {
            let doing = || format!("making {} read-only", path.display());
            let path = root.real(path).with_context(doing)?;
            let bind =
                Mount::builder().fstype(FilesystemType::Manual("none")).flags(MountFlags::BIND).mount(&path, &path);
            let flags = MountFlags::BIND | MountFlags::REMOUNT | MountFlags::RDONLY;
            done(bind)
                .and_then(|()| {
                    done(Mount::builder().fstype(FilesystemType::Manual("none")).flags(flags).mount("none", &path))
                })
                .with_context(doing)
        }
    }
}

/// A mount that stays: dropping a `Mount` leaves it mounted.
pub fn done(mount: io::Result<Mount>) -> io::Result<()> {
    mount.map(drop)
}

/// Without a source, or with a folder as source, a folder; links need no special care and are skipped.
fn special_file(entry: &Special, root: &Root, source: Option<&Path>, layer: &Path) -> io::Result<()> {
    let target = layer.join(&entry.path);
    if let Some(parent) = target.parent() {
        // A parent that is not listed itself is as in the store. An overlay shows the topmost layer's mode.
        for missing in parent.ancestors().take_while(|p| !p.exists()).collect::<Vec<_>>().into_iter().rev() {
            folder(missing, 0o755)?;
        }
    }
    let kind = source.map(|source| root.kind(source)).transpose()?;
    match source.zip(kind) {
        Some((_, Kind::Link)) => return Ok(()),
        None | Some((_, Kind::Folder)) => folder(&target, entry.mode)?,
        Some((source, _)) => {
            let copied = root.file(source).and_then(|mut source| {
                io::copy(&mut source, &mut fs::File::create(&target)?)?;
                dress(entry, &target)
            });
            // Half a file would hide the whole one below.
            return copied.inspect_err(|_| drop(fs::remove_file(&target)));
        }
    }
    dress(entry, &target)
}

/// The order matters: chown takes setuid and capabilities away.
fn dress(entry: &Special, target: &Path) -> io::Result<()> {
    chown(target, Some(entry.uid), Some(entry.gid))?;
    fs::set_permissions(target, fs::Permissions::from_mode(entry.mode))?;
    entry.capability.as_ref().map_or(Ok(()), |value| set_capability(target, value))
}

fn folder(path: &Path, mode: u32) -> io::Result<()> {
    match fs::create_dir(path) {
        Ok(()) => fs::set_permissions(path, fs::Permissions::from_mode(mode)),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(e),
    }
}

fn set_capability(path: &Path, value: &[u8]) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: both names end with NUL, and `value` is readable for its length; the kernel copies all three.
    #[expect(unsafe_code, reason = "neither std nor nix has setxattr")]
    let result = unsafe {
        nix::libc::setxattr(path.as_ptr(), c"security.capability".as_ptr(), value.as_ptr().cast(), value.len(), 0)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Sets the time of everything below `path`, folders after what is in them.
fn age(path: &Path) -> io::Result<()> {
    let meta = fs::symlink_metadata(path)?;
    if meta.is_dir() {
        for entry in fs::read_dir(path)? {
            age(&entry?.path())?;
        }
    }
    let time = SystemTime::UNIX_EPOCH + STORE_TIME;
    fs::File::open(path)?.set_times(fs::FileTimes::new().set_accessed(time).set_modified(time))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_is_replaced_but_a_folder_is_left_alone() {
        let dir = std::env::temp_dir().join(format!("cairn-stage1-link-{}", std::process::id()));
        fs::create_dir_all(dir.join("own")).unwrap();
        symlink("/srv", dir.join("moved")).unwrap();
        fs::create_dir_all(dir.join("srv")).unwrap();
        let root = Root::open(&dir).unwrap();
        let facts = Facts::default();
        let boot = Boot { root: &root, facts: &facts, generation: None, upper: &Upper::default() };
        for (path, target) in [("/a/b", "one"), ("/a/b", "two"), ("/own", "two"), ("/moved/c/d", "in")] {
            let step = Step::Link { path: path.into(), target: target.into() };
            apply(&step, &boot, &mut Notes::default()).unwrap();
        }
        let links = ["a/b", "srv/c/d"].map(|path| fs::read_link(dir.join(path)).unwrap());
        let kept = dir.join("own").symlink_metadata().unwrap().is_dir();
        fs::remove_dir_all(&dir).unwrap();
        assert!(kept && links == [Path::new("two"), Path::new("in")]);
    }
}
