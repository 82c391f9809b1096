//! Mounts the overlays: `/usr`, which cannot be written to, and `/etc`, which can.
//!
//! Where the machine's own layer of `/etc` cannot be used (the disk is damaged or read-only, or something is in its place)
//! what is written goes to memory and is forgotten when the machine stops: that is told, and better than no machine.

use std::path::{Path, PathBuf};

use sys_mount::{FilesystemType, Mount, MountFlags};

use super::apply::{Boot, done};
use super::upper;
use crate::error::{Context, Error};
use crate::folder::make_own;
use crate::notes::Notes;
use crate::root::Root;

/// The layer of `/etc` that is forgotten, in the initrd's `/run`.
const VOLATILE: [&str; 2] = ["/run/cairn/etc/upper", "/run/cairn/etc/work"];

/// The layers of an overlay that can be written to.
#[derive(Debug)]
pub struct Layers<'a> {
    pub special: &'a Path,
    pub lower: &'a [PathBuf],
    /// The upper layer, and its scratch folder.
    pub layer: &'a Path,
    pub work: &'a Path,
}

/// Mounts one that cannot be written to.
pub fn read_only(root: &Root, at: &Path, special: &Path, lower: &[PathBuf]) -> Result<(), Error> {
    let lower = lower_layers(root, special, lower)?;
    mount(root, at, &data(&lower, None), MountFlags::RDONLY)
}

/// Mounts one that can; with the machine's own layer, or, if that cannot be had, without.
pub fn writable(boot: &Boot<'_>, at: &Path, layers: &Layers<'_>, notes: &mut Notes) -> Result<(), Error> {
    let root = boot.root;
    let lower = lower_layers(root, layers.special, layers.lower)?;
    let own = root.real(layers.layer);
    let usual = match (&own, root.real(layers.work)) {
        (Ok(upper), Ok(work)) => mount(root, at, &data(&lower, Some((upper, &work))), MountFlags::empty()),
        (Err(e), _) => Err(e).with_context(|| format!("opening {}", layers.layer.display())),
        (_, Err(e)) => Err(e).with_context(|| format!("opening {}", layers.work.display())),
    };
    let Err(why) = usual else { return Ok(()) };
    notes.say(format!("{why}; what is changed in {} is forgotten when the machine stops", at.display()));
    let [upper, work] = VOLATILE.map(Path::new);
    let folder = make_own(upper, 0o755).context("making a layer of /etc in memory")?;
    make_own(work, 0o755).context("making a layer of /etc in memory")?;
    upper::write_volatile(boot.upper, root, &folder, notes);
    if let Ok(own) = own {
        let mut all = lower.clone();
        all.insert(0, own);
        match mount(root, at, &data(&all, Some((upper, work))), MountFlags::empty()) {
            Ok(()) => return Ok(()),
            Err(e) => notes.say(e),
        }
    }
    mount(root, at, &data(&lower, Some((upper, work))), MountFlags::empty())
}

fn lower_layers(root: &Root, special: &Path, lower: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    let real = lower.iter().map(|path| root.real(path).with_context(|| format!("opening {}", path.display())));
    std::iter::once(Ok(special.to_path_buf())).chain(real).collect()
}

fn mount(root: &Root, at: &Path, data: &str, flags: MountFlags) -> Result<(), Error> {
    let doing = || format!("mounting {}", at.display());
    let target = root.real(at).with_context(doing)?;
    let mount = Mount::builder().fstype(FilesystemType::Manual("overlay")).data(data).flags(flags);
    done(mount.mount("overlay", target)).with_context(doing)
}

/// The options of an overlay mount; overlayfs, section "Upper and lower".
///
/// Everything that would tie the upper layer to one lower layer is off: the same upper layer serves every generation.
fn data(lower: &[PathBuf], upper: Option<(&Path, &Path)>) -> String {
    let lower: Vec<String> = lower.iter().map(|path| escaped(path)).collect();
    let mut data = format!("lowerdir={}", lower.join(":"));
    if let Some((upper, work)) = upper {
        data += &format!(",upperdir={},workdir={}", escaped(upper), escaped(work));
        data += ",index=off,metacopy=off,redirect_dir=off,xino=off";
    }
    data
}

/// A path as an option has it: these three end it.
pub fn escaped(path: &Path) -> String {
    let text = path.display().to_string();
    let marked = |c: char| if ",:\\".contains(c) { vec!['\\', c] } else { vec![c] };
    text.chars().flat_map(marked).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overlay_with_an_upper_layer_is_tied_to_no_generation() {
        let lower = ["/run/cairn/special/etc", "/sysroot/nix/store/e-etc"].map(PathBuf::from);
        assert_eq!(
            data(&lower, Some((Path::new("/sysroot/var/u"), Path::new("/sysroot/srv/a,b:c/w")))),
            "lowerdir=/run/cairn/special/etc:/sysroot/nix/store/e-etc,upperdir=/sysroot/var/u,workdir=/sysroot/srv/a\\,b\\:c/w,\
             index=off,metacopy=off,redirect_dir=off,xino=off"
        );
        assert_eq!(data(&lower, None), "lowerdir=/run/cairn/special/etc:/sysroot/nix/store/e-etc");
    }
}
