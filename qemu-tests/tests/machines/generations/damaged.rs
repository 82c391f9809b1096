//! A boot partition that something has damaged: the machine comes up all the same, in the newest generation that is whole.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use qemu_tests::disk::{ESP, partitions};
use qemu_tests::generations::{self, File, GRUB_GPT, GRUB_UEFI, Kind, SYSTEMD_BOOT};
use qemu_tests::{Cairn, Cmd, Scenario};

use super::journey::good;

const NEEDS: &[&str] = &["qemu-system-x86_64", "qemu-img", "mmdebstrap", "mtools", "sfdisk"];

/// GPT type of an extended boot loader partition.
const XBOOTLDR: &str = "BC13C2FF-59E6-4262-A352-B275FD6F7172";

pub const SYSTEMD_BOOT_ALL: Scenario = Scenario {
    name: "a damaged boot partition still boots: systemd-boot under UEFI",
    needs: NEEDS,
    run: |cairn| run(cairn, SYSTEMD_BOOT, &[NO_LOADER_CONF, EMPTY_ENTRY, CUT_ENTRY, SHORT_INITRD]),
};
pub const GRUB_GPT_ALL: Scenario = Scenario {
    name: "a damaged boot partition still boots: GRUB under BIOS on GPT",
    needs: NEEDS,
    run: |cairn| run(cairn, GRUB_GPT, &[NO_MENU, ZERO_MENU, ZERO_BLOCK, NO_BLOCK, NO_INITRD, SHORT_INITRD, TORN_MENU]),
};
pub const GRUB_UEFI_ALL: Scenario = Scenario {
    name: "a damaged boot partition still boots: GRUB under UEFI",
    needs: NEEDS,
    run: |cairn| run(cairn, GRUB_UEFI, &[NO_MENU, ZERO_BLOCK, NO_INITRD, SHORT_INITRD]),
};
/// What every run has.
pub const GRUB_WORST: Scenario = Scenario {
    name: "a menu of zeros still boots: GRUB under BIOS on GPT",
    needs: NEEDS,
    run: |cairn| run(cairn, GRUB_GPT, &[ZERO_MENU]),
};

/// Damage, and the generation that boots then. Generation 2 is new and has one try, generation 1 has none to lose.
struct Damage {
    what: &'static str,
    does: fn(&Fat) -> Result<()>,
    boots: u64,
}

const NO_LOADER_CONF: Damage =
    Damage { what: "loader.conf is gone", does: |fat| fat.remove("loader/loader.conf"), boots: 2 };
const EMPTY_ENTRY: Damage = Damage { what: "the new entry is empty", does: |fat| fat.cut(&fat.entry(2)?, 0), boots: 1 };
const CUT_ENTRY: Damage =
    Damage { what: "the new entry is cut off", does: |fat| fat.cut(&fat.entry(2)?, 100), boots: 1 };
const SHORT_INITRD: Damage =
    Damage { what: "the new initrd is cut off", does: |fat| fat.cut(&fat.new_initrd()?, 1 << 20), boots: 1 };
const NO_INITRD: Damage =
    Damage { what: "the new initrd is gone", does: |fat| fat.remove(&fat.new_initrd()?), boots: 1 };
const NO_MENU: Damage = Damage { what: "grub.cfg is gone", does: |fat| fat.remove(&fat.grub("grub.cfg")?), boots: 2 };
const ZERO_MENU: Damage = Damage { what: "grub.cfg is zeros", does: |fat| fat.zero(&fat.grub("grub.cfg")?), boots: 2 };
/// There is the menu before it, which has both.
const TORN_MENU: Damage = Damage { what: "the menu is cut off", does: |fat| fat.cut(&fat.menu()?, 3000), boots: 2 };
const ZERO_BLOCK: Damage =
    Damage { what: "the environment block is zeros", does: |fat| fat.zero(&fat.grub("grubenv")?), boots: 1 };
const NO_BLOCK: Damage =
    Damage { what: "the environment block is gone", does: |fat| fat.remove(&fat.grub("grubenv")?), boots: 1 };

fn run(cairn: &Cairn, kind: Kind, damages: &[Damage]) -> Result<()> {
    let folder = tempfile::tempdir_in(&cairn.work)?;
    // With another module in its initrd the new one shares the kernel only.
    let (old, new) = (File::named("first"), File { module: Some("loop"), ..File::named("second") });
    let whole = generations::disk_with_two(cairn, kind, &old, &new, folder.path())?;
    let disk = folder.path().join("damaged.raw");
    for damage in damages {
        Cmd::new("cp").arg("--sparse=always").arg(&whole).arg(&disk).ok()?;
        (damage.does)(&Fat::of(&disk)?).context(damage.what)?;
        let mut guest = generations::start(kind, &disk).context(damage.what)?;
        let booted = guest.booted()?.0;
        ensure!(booted == damage.boots, "{}: generation {booted} was booted, not {}", damage.what, damage.boots);
        // A good boot mends it, and what it leaves `repair` does.
        good(&mut guest, damage.boots).context(damage.what)?;
        guest.run("cairn boot repair && cairn boot check").context(damage.what)?;
    }
    Ok(())
}

/// The boot partition of an image, through mtools.
struct Fat {
    /// `IMAGE@@OFFSET`.
    image: String,
    folder: tempfile::TempDir,
}

impl Fat {
    fn of(disk: &Path) -> Result<Fat> {
        let all = partitions(disk)?;
        let ours = all.iter().find(|p| p.kind == ESP || p.kind == XBOOTLDR).context("no boot partition")?;
        Ok(Fat { image: format!("{}@@{}", disk.display(), ours.start), folder: tempfile::tempdir()? })
    }

    fn tool(&self, tool: &str) -> Cmd {
        Cmd::new(tool).env("MTOOLS_SKIP_CHECK", "1").args(["-i", &self.image])
    }

    fn files(&self) -> Result<Vec<String>> {
        let list = self.tool("mdir").args(["-/", "-b", "::/"]).ok()?;
        Ok(list.lines().map(|line| line.trim_start_matches("::/").to_string()).collect())
    }

    fn one(&self, wanted: impl Fn(&str) -> bool) -> Result<String> {
        let files = self.files()?;
        files.iter().find(|f| wanted(f)).cloned().with_context(|| format!("no such file among {files:?}"))
    }

    fn entry(&self, number: u64) -> Result<String> {
        let part = format!("-{number}-");
        self.one(|path| path.starts_with("loader/entries/cairn-") && path.contains(&part))
    }

    fn grub(&self, name: &str) -> Result<String> {
        self.one(|path| path.ends_with(&format!("/grub/{name}")))
    }

    fn menu(&self) -> Result<String> {
        self.one(|path| path.contains("/grub/menu-") && path.ends_with(".cfg"))
    }

    /// The initrd of the new generation, which the older one does not have.
    fn new_initrd(&self) -> Result<String> {
        let text = match self.entry(2) {
            Ok(entry) => self.read(&entry)?,
            Err(_) => self.read(&self.menu()?)?,
        };
        let trial = text.split("'cairn-trial'").nth(1).unwrap_or(&text);
        let initrds = self.files()?.into_iter().filter(|path| path.ends_with("-initrd"));
        let first = initrds.filter_map(|path| Some((trial.find(&path)?, path))).min();
        first.map(|(_, path)| path).context("the new generation has no initrd")
    }

    fn read(&self, path: &str) -> Result<String> {
        self.tool("mtype").arg(format!("::/{path}")).ok()
    }

    fn remove(&self, path: &str) -> Result<()> {
        self.tool("mdel").arg(format!("::/{path}")).ok().map(drop)
    }

    fn cut(&self, path: &str, len: usize) -> Result<()> {
        self.change(path, |bytes| bytes.truncate(len))
    }

    fn zero(&self, path: &str) -> Result<()> {
        self.change(path, |bytes| bytes.fill(0))
    }

    fn change(&self, path: &str, change: impl Fn(&mut Vec<u8>)) -> Result<()> {
        let copy = self.folder.path().join("file");
        self.tool("mcopy").args(["-o", "-n"]).arg(format!("::/{path}")).arg(&copy).ok()?;
        let mut bytes = std::fs::read(&copy)?;
        change(&mut bytes);
        std::fs::write(&copy, bytes)?;
        self.tool("mcopy").args(["-o", "-D", "o"]).arg(&copy).arg(format!("::/{path}")).ok().map(drop)
    }
}
