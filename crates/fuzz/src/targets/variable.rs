//! The trees below `/var`: what a base has for a machine, what the machine has already, and what its records say, filled by
//! the initrd's helper in a folder that stands for the machine's root.
//!
//! An input is a list of lines that make it: `WHERE KIND PATH [TEXT]`, where `b` is the base that boots, `o` one that has
//! booted, `m` the machine; `d` is a folder, `f` a file, `l` a link, `p` a pipe; `@` in a link is a folder outside of the
//! root. A line `r TEXT` is one of the record of what was given, `j TEXT` the record of boots.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use cairn_stage1::assemble::modes::Special;
use cairn_stage1::assemble::variable::{Booting, fill};
use cairn_stage1::{Notes, Root};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::Target;

/// The trees, made once and once more.
pub(super) const VARIABLE: Target = Target {
    name: "var-trees",
    seeds,
    words: &[
        "\n",
        " ",
        "/",
        "b d ",
        "b f ",
        "b l ",
        "b p ",
        "o f ",
        "m d ",
        "m f ",
        "m l ",
        "r have ",
        "r away ",
        "r lack ",
        "r base ",
        "r end ",
        "j {\"good\":[1]}",
        "var/lib/",
        "usr/local/",
        "var/lib/dpkg",
        "var/lib/cairn",
        "var/lib/cairn/filling",
        "var/lib/cairn/given",
        "nix/var/nix/profiles/system-1-link",
        "var/lib/db/data",
        "../..",
        "@",
        "@/secret",
    ],
    most: 2048,
    quick: 1200,
    run: variable,
};

const OUTSIDE: [(&str, &str); 2] = [("secret", "outside"), ("etc/passwd", "the initrd's")];
/// More of them say nothing new, and cost time.
const MOST_LINES: usize = 60;

fn seeds() -> Vec<Vec<u8>> {
    let base = "b f var/www/html/index.html html\nb f var/cache/man/index x\nb f var/lib/db/data x\nb l var/lib/now db\n\
                b f usr/local/share/x x\n";
    let booted = "o f var/lib/db/data x\no f var/lib/old/x x\nm l var/lib/dpkg /run/x\nj {\"good\":[1, 2]}\n";
    let traps = "m l var/lib/db @\nm l var/www ../../../../..\nm l usr/local @\nm d var/lib/cairn/given\nb p var/lib/p\n\
                 m l var/lib/cairn/filling @\nm f var/cache a file\nb d var/lib/cairn/x\n";
    let record = "r part /nix/store/o\nr have var/lib/db\nr away var/www/html\nr lack var/cache/man\nr end 3\n";
    [
        base.into(),
        format!("{base}{booted}"),
        format!("{base}{traps}"),
        format!("{base}{record}m f var/www/own mine\n"),
        format!("{base}r base /nix/store/b\nr have var/lib/db\nr end 1\n"),
        format!("{traps}{booted}m l var/lib @\n{base}"),
    ]
    .map(String::into_bytes)
    .to_vec()
}

/// Two folders: one for a machine, and one that is none of its business.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> std::io::Result<Place> {
        // In memory: the helper waits for the disk more than once.
        let folder = crate::scratch()?;
        let outside = folder.path().join("outside");
        fs::create_dir_all(outside.join("etc"))?;
        OUTSIDE.iter().try_for_each(|(name, text)| fs::write(outside.join(name), text))?;
        Ok(Place { folder })
    }

    fn machine(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// Makes the machine that an input says. What cannot be made is left out.
    fn make(&self, text: &str) -> std::io::Result<()> {
        let top = self.machine();
        let state = top.join("var/lib/cairn");
        for folder in ["var/lib/cairn", "var/usrlocal", "nix/store/b", "nix/store/o", "nix/var/nix/profiles"] {
            fs::create_dir_all(top.join(folder))?;
        }
        symlink("/nix/store/o", top.join("nix/store/b/base"))?;
        symlink("/nix/store/b", top.join("nix/var/nix/profiles/system-1-link"))?;
        let outside = self.folder.path().join("outside").display().to_string();
        let (mut record, mut boots) = (String::new(), String::new());
        for line in text.lines().take(MOST_LINES) {
            let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
            let below = match first {
                "b" => "nix/store/b",
                "o" => "nix/store/o",
                "m" => "",
                "r" => {
                    let _ = writeln!(record, "{rest}");
                    continue;
                }
                "j" => {
                    boots.push_str(rest);
                    continue;
                }
                _ => continue,
            };
            let mut words = rest.splitn(3, ' ');
            let (kind, path, more) = (words.next(), words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let Some(path) = free(&top, &format!("{below}/{path}")) else { continue };
            // It may be there already, and its name may be too long.
            let _ = match kind {
                Some("d") => fs::create_dir(path),
                Some("f") => fs::write(path, more),
                Some("l") => symlink(more.replace('@', &outside), path),
                Some("p") => mkfifo(&path, Mode::S_IRUSR).map_err(Into::into),
                _ => Ok(()),
            };
        }
        for (name, text) in [("given", record), ("boot.json", boots)] {
            if !text.is_empty() && fs::symlink_metadata(state.join(name)).is_err() {
                // Something else may be in the place of the folder.
                let _ = fs::write(state.join(name), text);
            }
        }
        Ok(())
    }

    /// Whether everything is as it was where the machine is not.
    fn outside_is_untouched(&self) -> bool {
        let outside = self.folder.path().join("outside");
        let names = |path: &Path| fs::read_dir(path).map(Iterator::count).unwrap_or_default();
        let same = |(name, text): &(&str, &str)| fs::read(outside.join(name)).is_ok_and(|read| read == text.as_bytes());
        OUTSIDE.iter().all(same) && names(&outside) == 2 && names(&outside.join("etc")) == 1
    }
}

/// The place of a path below a folder, if nothing is there yet: what is missing on the way is made, and no link is followed.
fn free(top: &Path, path: &str) -> Option<PathBuf> {
    let mut place = top.to_path_buf();
    let mut names = path.split('/').filter(|name| !matches!(*name, "" | "." | "..")).take(12).peekable();
    names.peek()?;
    while let Some(name) = names.next() {
        place.push(name);
        match fs::symlink_metadata(&place) {
            Ok(meta) if meta.is_dir() && names.peek().is_some() => {}
            Ok(_) => return None,
            Err(_) if names.peek().is_some() => fs::create_dir(&place).ok()?,
            Err(_) => {}
        }
    }
    Some(place)
}

fn variable(input: &[u8]) {
    thread_local!(static PLACE: Place = Place::new().unwrap_or_else(|e| panic!("{e}")));
    PLACE.with(|place| {
        place.make(&String::from_utf8_lossy(input)).unwrap_or_else(|e| panic!("{e}"));
        let boot = || {
            let root = Root::open(&place.machine()).unwrap_or_else(|e| panic!("{e}"));
            let booting = Booting { base: Path::new("/nix/store/b"), generation: Some(2) };
            let own = Special { mode: 0o2750, uid: 0, gid: 0, path: "var/lib/db".into(), capability: None };
            fill(&root, booting, &[own], &mut Notes::silent()).is_ok()
        };
        let record = || fs::read(place.machine().join("var/lib/cairn/given")).ok();
        let done = boot();
        let first = record();
        // What was given once is there, and the next boot finds nothing to do but what was lacking.
        assert!(!done || boot(), "the second time it fails");
        assert!(!done || record() == first, "the second time something changed");
        assert!(place.outside_is_untouched(), "something outside of the machine was changed");
        fs::remove_dir_all(place.machine()).unwrap_or_else(|e| panic!("{e}"));
    });
}
