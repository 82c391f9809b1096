//! Carries out one step of the plan.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sys_mount::{FilesystemType, Mount, MountFlags};

use super::facts::below;
use super::modes::Special;
use super::plan::Step;
use super::upper::{self, Upper};
use super::variable;
use crate::error::{Context, Error};

/// One second past 1970, like everything in the store: systemd compares the age of /usr and /etc with it
/// (`ConditionNeedsUpdate=`), and must find nothing newer.
const STORE_TIME: Duration = Duration::from_secs(1);

/// Carries out `step` below `root`.
pub fn apply(step: &Step, root: &Path, upper: &Upper, special: &[Special]) -> Result<(), Error> {
    match step {
        Step::Folder { path, mode } => {
            folder(&below(root, path), *mode).with_context(|| format!("making {}", path.display()))
        }
        Step::Link { path, target } => {
            link(&below(root, path), target).with_context(|| format!("making the link {}", path.display()))
        }
        Step::RunLink { path, target } => {
            link(path, target).with_context(|| format!("making the link {}", path.display()))
        }
        Step::Tmpfs { path } => {
            fs::create_dir_all(path).with_context(|| format!("making {}", path.display()))?;
            let mount = Mount::builder().fstype(FilesystemType::Manual("tmpfs")).data("mode=0755,size=25%");
            done(mount.flags(MountFlags::NODEV).mount("cairn-special", path)).context("mounting the special layer")
        }
        Step::Special { entry, sources, layer } => {
            let found = sources.iter().map(|s| below(root, s)).find(|s| fs::symlink_metadata(s).is_ok());
            special_file(entry, found.as_deref(), layer)
                .with_context(|| format!("making the special file /{}", entry.path.display()))
        }
        Step::Seal { path } => {
            age(path).context("setting the special layer's times")?;
            let flags = MountFlags::REMOUNT | MountFlags::RDONLY | MountFlags::NODEV;
            done(Mount::builder().fstype(FilesystemType::Manual("tmpfs")).flags(flags).mount("cairn-special", path))
                .context("making the special layer read-only")
        }
        Step::Upper { path } => upper::write(upper, root, path),
        Step::Overlay { at, special, lower, upper, work } => {
            let data = overlay_data(root, special, lower, upper.as_deref(), work.as_deref());
            let flags = if upper.is_some() { MountFlags::empty() } else { MountFlags::RDONLY };
            let mount = Mount::builder().fstype(FilesystemType::Manual("overlay")).data(&data).flags(flags);
            done(mount.mount("overlay", below(root, at))).with_context(|| format!("mounting {}", at.display()))
        }
        Step::Variable { from, as_part, to } => variable::fill(&below(root, from), as_part, &below(root, to), special),
        Step::Bind { from, at } => {
            let target = below(root, at);
            if !target.is_dir() {
                return Ok(());
            }
            let mount = Mount::builder().fstype(FilesystemType::Manual("none")).flags(MountFlags::BIND);
            done(mount.mount(below(root, from), target)).with_context(|| format!("mounting {}", at.display()))
        }
        Step::ReadOnly { path } => {
            let path = below(root, path);
            let bind =
                Mount::builder().fstype(FilesystemType::Manual("none")).flags(MountFlags::BIND).mount(&path, &path);
            let flags = MountFlags::BIND | MountFlags::REMOUNT | MountFlags::RDONLY;
            done(bind)
                .and_then(|()| {
                    done(Mount::builder().fstype(FilesystemType::Manual("none")).flags(flags).mount("none", &path))
                })
                .with_context(|| format!("making {} read-only", path.display()))
        }
    }
}

/// A mount that stays: dropping a `Mount` leaves it mounted.
fn done(mount: io::Result<Mount>) -> io::Result<()> {
    mount.map(drop)
}

/// The options of an overlay mount; overlayfs, section "Upper and lower".
///
/// Everything that would tie the upper layer to one lower layer is off: the same upper layer serves every generation.
fn overlay_data(root: &Path, special: &Path, lower: &[PathBuf], upper: Option<&Path>, work: Option<&Path>) -> String {
    let lower: Vec<String> = std::iter::once(special.to_path_buf())
        .chain(lower.iter().map(|p| below(root, p)))
        .map(|p| p.display().to_string())
        .collect();
    let mut data = format!("lowerdir={}", lower.join(":"));
    if let (Some(upper), Some(work)) = (upper, work) {
        let (upper, work) = (below(root, upper), below(root, work));
        data += &format!(",upperdir={},workdir={}", upper.display(), work.display());
        data += ",index=off,metacopy=off,redirect_dir=off,xino=off";
    }
    data
}

fn folder(path: &Path, mode: u32) -> io::Result<()> {
    match fs::create_dir(path) {
        Ok(()) => fs::set_permissions(path, fs::Permissions::from_mode(mode)),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(e),
    }
}

fn link(path: &Path, target: &Path) -> io::Result<()> {
    match fs::read_link(path) {
        Ok(old) if old == target => return Ok(()),
        Ok(_) => {
            // By rename, so that the link is there at every moment.
            let mut temporary = path.as_os_str().to_owned();
            temporary.push(".cairn-new");
            let _ = fs::remove_file(&temporary);
            symlink(target, &temporary)?;
            return fs::rename(&temporary, path);
        }
        // Something that is no link is the machine's own.
        Err(e) if e.kind() == io::ErrorKind::InvalidInput => return Ok(()),
        Err(_) => {}
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    symlink(target, path)
}

/// Without a source, or with a folder as source, a folder; links need no special care and are skipped.
fn special_file(entry: &Special, source: Option<&Path>, layer: &Path) -> io::Result<()> {
    let target = layer.join(&entry.path);
    if let Some(parent) = target.parent() {
        // A parent that is not listed itself is as in the store. An overlay shows the topmost layer's mode.
        for missing in parent.ancestors().take_while(|p| !p.exists()).collect::<Vec<_>>().into_iter().rev() {
            folder(missing, 0o755)?;
        }
    }
    match source.map(fs::symlink_metadata).transpose()? {
        Some(meta) if meta.is_symlink() => return Ok(()),
        Some(meta) if meta.is_file() => {
            fs::copy(source.unwrap_or(&target), &target)?;
        }
        _ => folder(&target, entry.mode)?,
    }
    // The order matters: chown takes setuid and capabilities away.
    chown(&target, Some(entry.uid), Some(entry.gid))?;
    fs::set_permissions(&target, fs::Permissions::from_mode(entry.mode))?;
    if let Some(value) = &entry.capability {
        set_capability(&target, value)?;
    }
    Ok(())
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
    use super::*;

    #[test]
    fn an_overlay_with_an_upper_layer_is_tied_to_no_generation() {
        let root = Path::new("/sysroot");
        let lower = [PathBuf::from("/nix/store/e-etc")];
        let special = Path::new("/run/cairn/special/etc");
        assert_eq!(
            overlay_data(root, special, &lower, Some(Path::new("/var/u")), Some(Path::new("/var/w"))),
            "lowerdir=/run/cairn/special/etc:/sysroot/nix/store/e-etc,upperdir=/sysroot/var/u,workdir=/sysroot/var/w,\
             index=off,metacopy=off,redirect_dir=off,xino=off"
        );
        assert_eq!(
            overlay_data(root, special, &lower, None, None),
            "lowerdir=/run/cairn/special/etc:/sysroot/nix/store/e-etc"
        );
    }

    #[test]
    fn a_link_is_replaced_but_a_folder_is_left_alone() {
        let dir = std::env::temp_dir().join(format!("cairn-stage1-link-{}", std::process::id()));
        fs::create_dir_all(dir.join("own")).unwrap();
        link(&dir.join("a/b"), Path::new("one")).unwrap();
        link(&dir.join("a/b"), Path::new("two")).unwrap();
        link(&dir.join("own"), Path::new("two")).unwrap();
        let target = fs::read_link(dir.join("a/b")).unwrap();
        let kept = dir.join("own").symlink_metadata().unwrap().is_dir();
        fs::remove_dir_all(&dir).unwrap();
        assert!(kept && target == Path::new("two"));
    }
}
