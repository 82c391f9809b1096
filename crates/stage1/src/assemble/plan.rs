//! The order in which the root file system is put together. Pure: facts in, steps out.

use std::path::{Path, PathBuf};

use super::modes::Special;

/// What is known about the system that boots. Paths are those of the running machine (`/nix/store/…`).
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The system's store path.
    pub system: PathBuf,
    /// The store path of the base.
    pub base: PathBuf,
    /// The store path of the `/etc` tree.
    pub etc: PathBuf,
    /// The store path of the system's additions to `/usr`, if it has any.
    pub usr: Option<PathBuf>,
    /// Everything that has an owner or permissions that a store path cannot carry, with numbers in use here.
    pub special: Vec<Special>,
}

/// One step. Paths that begin with `/` are those of the running machine and lie below the new root; those of
/// [`Step::Tmpfs`] and of `special` lie in the initrd's own `/run`, which survives the change of the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A folder; nothing changes if it is there.
    Folder { path: PathBuf, mode: u32 },
    /// A symbolic link; a link elsewhere is replaced, anything else is left alone.
    Link { path: PathBuf, target: PathBuf },
    /// A symbolic link in `/run`.
    RunLink { path: PathBuf, target: PathBuf },
    /// Mounts a tmpfs for the special layer.
    Tmpfs { path: PathBuf },
    /// Copies what `entry` names from the first of `sources` that has it into the special layer.
    Special { entry: Special, sources: Vec<PathBuf>, layer: PathBuf },
    /// Makes the special layer read-only, every time stamp in it 1.
    Seal { path: PathBuf },
    /// Merges accounts, writes the machine id: whatever must be in the upper layer before it is mounted.
    Upper,
    /// Mounts an overlay; the lower layers topmost first, `special` layers as they are, the others below the new root. With
    /// an upper layer and its scratch folder it can be written to.
    Overlay { at: PathBuf, special: PathBuf, lower: Vec<PathBuf>, upper: Option<(PathBuf, PathBuf)> },
    /// Gives the machine what the base has of [`PARTS`] and it has not been given, then makes the links that are the
    /// generation's own.
    Variable,
    /// Binds a folder on another one; nothing changes if that is not there.
    Bind { from: PathBuf, at: PathBuf },
    /// Binds a folder on itself, read-only.
    ReadOnly { path: PathBuf },
}

impl Step {
    /// Whether there is no system without it. Whatever else fails is told, and the boot goes on.
    pub fn is_vital(&self) -> bool {
        matches!(self, Step::Overlay { .. } | Step::Tmpfs { .. })
    }
}

/// The machine's state, as far as it is this helper's.
pub const STATE: &str = "/var/lib/cairn";
/// The machine's own layer of `/etc`.
pub const UPPER: &str = "/var/lib/cairn/etc/upper";
const WORK: &str = "/var/lib/cairn/etc/work";
/// The special layer, in the initrd's `/run`.
pub const SPECIAL: &str = "/run/cairn/special";

/// Folders of the root file system that no package makes.
const FOLDERS: [(&str, u32); 19] = [
    ("usr", 0o755),
    ("etc", 0o755),
    ("var", 0o755),
    ("home", 0o755),
    ("srv", 0o755),
    ("opt", 0o755),
    ("mnt", 0o755),
    ("media", 0o755),
    ("boot", 0o755),
    ("root", 0o700),
    ("tmp", 0o1777),
    ("proc", 0o555),
    ("sys", 0o555),
    ("dev", 0o755),
    ("run", 0o755),
    ("nix", 0o755),
    ("var/lib", 0o755),
    ("var/log", 0o755),
    ("var/usrlocal", 0o755),
];

const LINKS: [(&str, &str); 4] = [("bin", "usr/bin"), ("sbin", "usr/sbin"), ("lib", "usr/lib"), ("lib64", "usr/lib64")];

/// Folders of the machine's own state.
const STATES: [(&str, u32); 4] = [(STATE, 0o700), ("/var/lib/cairn/etc", 0o700), (UPPER, 0o755), (WORK, 0o755)];

/// Where `/usr/local` really is: it is the machine's, and `/usr` is the generation's.
pub const LOCAL: &str = "/var/usrlocal";

/// What of a base becomes the machine's, and where.
pub const PARTS: [(&str, &str); 2] = [("var", "/var"), ("usr/local", LOCAL)];
/// The same; it may be on another file system than the machine's state.
pub const SERVED: &str = "/srv";

/// What belongs to the generation although it lies below `/var`: links into the base.
const GENERATIONS_OWN: [&str; 2] = ["var/lib/dpkg", "var/lib/systemd/catalog"];

/// True for what no base gives to the machine, relative to the root: [`GENERATIONS_OWN`], and this helper's state.
pub fn is_generations_own(path: &Path) -> bool {
    GENERATIONS_OWN.iter().any(|own| path == Path::new(own)) || Path::new("/").join(path) == Path::new(STATE)
}

/// The links that are the generation's own.
pub fn own_links() -> impl Iterator<Item = Step> {
    GENERATIONS_OWN.into_iter().map(|own| {
        let target = Path::new("/run/current-system/base").join(own);
        Step::Link { path: Path::new("/").join(own), target }
    })
}

/// All steps up to the change of the root.
pub fn steps(facts: &Facts) -> Vec<Step> {
    let root = Path::new("/");
    let folder = |(path, mode): &(&str, u32)| Step::Folder { path: root.join(path), mode: *mode };
    let link = |(path, target): &(&str, &str)| Step::Link { path: root.join(path), target: target.into() };
    let mut steps: Vec<Step> = FOLDERS.iter().map(folder).chain(LINKS.iter().map(link)).collect();
    steps.extend(STATES.iter().map(folder));

    let usr: Vec<PathBuf> = facts.usr.iter().cloned().chain([facts.base.join("usr")]).collect();
    let special = PathBuf::from(SPECIAL);
    steps.push(Step::Tmpfs { path: special.clone() });
    for part in ["usr", "etc"] {
        steps.push(Step::Special { entry: part_root(part), sources: vec![], layer: special.clone() });
    }
    for entry in &facts.special {
        let sources = match part(&entry.path) {
            Some("usr") => usr.iter().map(|tree| tree.join(inside(&entry.path))).collect(),
            Some("etc") => vec![facts.etc.join(inside(&entry.path))],
            // Special files of /var are made with it.
            _ => continue,
        };
        steps.push(Step::Special { entry: entry.clone(), sources, layer: special.clone() });
    }
    steps.push(Step::Seal { path: special.clone() });

    steps.push(Step::Overlay { at: "/usr".into(), special: special.join("usr"), lower: usr, upper: None });
    steps.push(Step::Upper);
    steps.push(Step::Overlay {
        at: "/etc".into(),
        special: special.join("etc"),
        lower: vec![facts.etc.clone()],
        upper: Some((UPPER.into(), WORK.into())),
    });

    // Through /run, so that the link itself is the same in every generation.
    for path in ["/run/current-system", "/run/booted-system"] {
        steps.push(Step::RunLink { path: path.into(), target: facts.system.clone() });
    }
    steps.push(Step::Variable);
    // What somebody puts in there is neither a package's nor a generation's.
    steps.push(Step::Bind { from: LOCAL.into(), at: "/usr/local".into() });
    // The journal is kept from the first boot on only if its folder is there when journald starts.
    steps.push(Step::Folder { path: "/var/log/journal".into(), mode: 0o2755 });
    steps.push(Step::ReadOnly { path: "/nix/store".into() });
    steps
}

fn part(path: &Path) -> Option<&str> {
    path.components().next()?.as_os_str().to_str()
}

/// The root folder of a layer as an entry: an overlay shows the permissions of its topmost layer.
fn part_root(part: &str) -> Special {
    Special { mode: 0o755, uid: 0, gid: 0, path: part.into(), capability: None }
}

/// A path without its first part.
fn inside(path: &Path) -> &Path {
    let mut parts = path.components();
    parts.next();
    parts.as_path()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn special(path: &str) -> Special {
        Special { mode: 0o4755, uid: 0, gid: 0, path: path.into(), capability: None }
    }

    fn facts() -> Facts {
        Facts {
            system: "/nix/store/s-system".into(),
            base: "/nix/store/b-base".into(),
            etc: "/nix/store/e-etc".into(),
            usr: None,
            special: vec![special("usr/bin/sudo"), special("etc/shadow"), special("var/mail")],
        }
    }

    fn position(steps: &[Step], wanted: impl Fn(&Step) -> bool) -> usize {
        steps.iter().position(wanted).expect("the step is there")
    }

    #[test]
    fn special_files_come_from_where_they_are_and_only_those_of_usr_and_etc() {
        let steps = steps(&facts());
        let sources: Vec<(&Path, &[PathBuf])> = steps
            .iter()
            .filter_map(|s| match s {
                Step::Special { entry, sources, .. } if !sources.is_empty() => Some((&*entry.path, &**sources)),
                _ => None,
            })
            .collect();
        assert_eq!(
            sources,
            [
                (Path::new("usr/bin/sudo"), &["/nix/store/b-base/usr/bin/sudo".into()][..]),
                (Path::new("etc/shadow"), &["/nix/store/e-etc/shadow".into()][..]),
            ]
        );
    }

    #[test]
    fn the_order_is_special_usr_upper_etc_var_store() {
        let steps = steps(&facts());
        let overlay = |at: &'static str| move |s: &Step| matches!(s, Step::Overlay { at: a, .. } if a == Path::new(at));
        let order = [
            position(&steps, |s| matches!(s, Step::Tmpfs { .. })),
            position(&steps, |s| matches!(s, Step::Seal { .. })),
            position(&steps, overlay("/usr")),
            position(&steps, |s| *s == Step::Upper),
            position(&steps, overlay("/etc")),
            position(&steps, |s| *s == Step::Variable),
            position(&steps, |s| matches!(s, Step::ReadOnly { .. })),
        ];
        assert!(order.is_sorted(), "{order:?}");
    }

    #[test]
    fn usr_local_is_the_machines_own_and_lies_over_usr() {
        let steps = steps(&facts());
        let filled = |s: &Step| *s == Step::Variable;
        let order = [
            position(&steps, |s| matches!(s, Step::Overlay { at, .. } if at == Path::new("/usr"))),
            position(&steps, filled),
            position(&steps, |s| matches!(s, Step::Bind { at, .. } if at == Path::new("/usr/local"))),
        ];
        assert!(order.is_sorted(), "{order:?}");
    }

    #[test]
    fn the_systems_own_usr_lies_over_the_base() {
        let facts = Facts { usr: Some("/nix/store/u-usr".into()), ..facts() };
        let steps = steps(&facts);
        let lower = steps.iter().find_map(|s| match s {
            Step::Overlay { at, lower, .. } if at == Path::new("/usr") => Some(lower.clone()),
            _ => None,
        });
        assert_eq!(lower.unwrap(), [PathBuf::from("/nix/store/u-usr"), "/nix/store/b-base/usr".into()]);
    }
}
