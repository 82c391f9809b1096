//! A machine to look at: a store with real records, systems with all that generations are told by, links, boot entries.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cairn_boot::Record;
use cairn_disk::fat::FatFile;
use cairn_disk::tree::FolderOptions;
use cairn_disk::{BootCode, Contents, FileTarget, Tree, apply, ext4, fat};
use cairn_layout::{Needs, disk_seed, plan};
use cairn_machine::model::{Disk, NamedLayout};
use cairn_process::Quiet;
use cairn_root::Root;
use cairn_store::{Generations, Store, StorePath, database};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

const LOADER: &str = "usr/lib/systemd/boot/efi/systemd-bootx64.efi";

/// The date of the first generation; each later one is a day younger.
pub const FIRST: i64 = 1_764_000_000;
const DAY: i64 = 86_400;

/// What a run of the command said.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// Of a run that went well.
    #[track_caller]
    pub fn done(self) -> Ran {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self
    }

    /// Of a run that was refused, with this in the reason.
    #[track_caller]
    pub fn refused(self, why: &str) {
        assert_eq!(self.code, 3, "{}{}", self.out, self.err);
        assert!(self.err.contains(why), "{}", self.err);
    }

    /// The answer, of a run that went well.
    #[track_caller]
    pub fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{}", self.err);
        serde_json::from_str(&self.out).unwrap()
    }
}

/// Runs the command.
pub fn cairn(args: &[&str]) -> Ran {
    cairn_and(args, |_| ())
}

/// Runs the command and does something when it has said its first line.
#[expect(clippy::disallowed_methods, reason = "what is tested is the command itself, exit codes and all")]
pub fn cairn_and(args: &[&str], then: impl FnOnce(&str)) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cairn"));
    // Into a file: of a pipe that nobody reads meanwhile, much data would stop it.
    let mut out = tempfile::tempfile().unwrap();
    command.args(args).env_remove("XDG_CACHE_HOME").stdin(Stdio::null()).stdout(out.try_clone().unwrap());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    let mut err = BufReader::new(child.stderr.take().unwrap());
    err.read_line(&mut said).unwrap();
    then(&said);
    err.read_to_string(&mut said).unwrap();
    let code = child.wait().unwrap().code().expect("an exit code");
    let mut data = String::new();
    out.rewind().unwrap();
    out.read_to_string(&mut data).unwrap();
    Ran { code, out: data, err: said }
}

/// What a system is made of.
#[derive(Clone)]
pub struct SystemOf {
    pub packages: Vec<(&'static str, &'static str)>,
    pub kernel: &'static str,
    pub machine: String,
    pub root: &'static str,
    /// A disk that a BIOS starts from too, with these parts of GRUB.
    pub grub: Option<BootCode>,
    pub etc: BTreeMap<&'static str, String>,
}

impl SystemOf {
    pub fn named(hostname: &str) -> SystemOf {
        SystemOf {
            packages: vec![("bash", "5.2"), ("openssh-server", "1:10.0"), ("zlib1g", "1.3")],
            kernel: "6.12.1-cloud",
            root: "UUID=1",
            grub: None,
            machine: format!(
                "version: 1\nhostname: {hostname}\nsource: {{debian: {{packages: [openssh-server]}}}}\ndisks: {{main: {{layout: uefi}}}}\n"
            ),
            etc: BTreeMap::from([("hostname", format!("{hostname}\n")), ("motd", "one\ntwo\nthree\n".into())]),
        }
    }
}

/// The seed of a machine with GRUB.
const SEED: Uuid = Uuid::from_u128(0x0123_4567_89ab_cdef);

impl SystemOf {
    /// With something that looks like GRUB.
    pub fn with_grub(hostname: &str) -> SystemOf {
        let mut sector = [7; 512];
        sector[..3].copy_from_slice(&[0xeb, 0x63, 0x90]);
        sector[0x180..0x184].copy_from_slice(b"GRUB");
        let mut core = vec![9; 40_000];
        core[500..512].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 78, 0, 0x20, 8]);
        core[488..500].fill(0);
        let named = SystemOf::named(hostname);
        let machine = named.machine.replace("uefi", "hybrid") + &format!("boot: {{loader: grub}}\nseed: {SEED}\n");
        SystemOf { grub: Some(BootCode { sector, core }), machine, ..named }
    }
}

/// A machine below a folder.
pub struct Made {
    dir: TempDir,
    pub store: Store,
    pub systems: Vec<StorePath>,
}

impl Drop for Made {
    fn drop(&mut self) {
        // A mount in the way would keep the folder.
        let _ = nix::mount::umount(&self.root().join("boot"));
    }
}

impl Made {
    pub fn new() -> Made {
        // In memory, where a sync costs nothing.
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        let store = Store::open(dir.path()).unwrap();
        for folder in ["boot/loader/entries", "var/lib/cairn", "proc", "run"] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        Made { dir, store, systems: Vec::new() }
    }

    /// With generations of these systems, the last one current, the first one good.
    pub fn with(systems: &[SystemOf]) -> Made {
        let mut made = Made::new();
        for (i, system) in systems.iter().enumerate() {
            let path = made.system(system);
            let time = FIRST + DAY * i64::try_from(i).unwrap();
            let number = made.generations().add(&path, time, 0).unwrap();
            made.entry(number, &path, "");
            made.systems.push(path);
        }
        made.generations().switch(systems.len() as u64).unwrap();
        made.register();
        made.record(&Record::first(1));
        made
    }

    /// With a boot partition that is mounted (as a file system in memory) and empty, for this test alone. `None` where that
    /// cannot be done.
    pub fn mounted(systems: &[SystemOf]) -> Option<Made> {
        if !nix::unistd::geteuid().is_root() {
            cairn_testkit::skip("needs root, for mounts");
            return None;
        }
        let made = Made::with(systems);
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_PRIVATE | MsFlags::MS_REC, None::<&str>).unwrap();
        let boot = made.root().join("boot");
        mount(Some("none"), &boot, Some("tmpfs"), MsFlags::empty(), Some("size=64m")).unwrap();
        Some(made)
    }

    /// The files on the boot partition.
    pub fn boot_files(&self) -> Vec<String> {
        fn walk(top: &Path, folder: &Path, found: &mut Vec<String>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => walk(top, &path, found),
                    false => found.push(path.strip_prefix(top).unwrap().to_str().unwrap().to_string()),
                }
            }
        }
        let (top, mut found) = (self.root().join("boot"), Vec::new());
        walk(&top, &top, &mut found);
        found.sort();
        found
    }

    /// The entries of the menu: number and counter, as the names have them.
    pub fn entries(&self) -> Vec<String> {
        let names =
            self.boot_files().into_iter().filter_map(|f| f.strip_prefix("loader/entries/cairn-").map(str::to_string));
        let mut entries: Vec<String> = names
            .map(|name| {
                let parts: Vec<&str> = name.trim_end_matches(".conf").splitn(3, '-').collect();
                let counter = parts[2].split_once('+').map(|(_, c)| format!("+{c}")).unwrap_or_default();
                format!("{}{counter}", parts[1])
            })
            .collect();
        entries.sort();
        entries
    }

    /// The record that the machine has now.
    pub fn recorded(&self) -> Record {
        cairn_boot::effects::read_record(&Root::open(self.root()).unwrap()).unwrap().unwrap()
    }

    /// Runs a command on this machine.
    pub fn run(&self, args: &[&str]) -> Ran {
        let mut all = args.to_vec();
        all.extend(["--root", self.root().to_str().unwrap()]);
        cairn(&all)
    }

    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    pub fn generations(&self) -> Generations {
        Generations::at(self.root())
    }

    pub fn record(&self, record: &Record) {
        cairn_boot::effects::write_record(&Root::open(self.root()).unwrap(), record).unwrap();
    }

    /// A system with its base, initrd and /etc.
    pub fn system(&self, of: &SystemOf) -> StorePath {
        let scratch = self.store.scratch().unwrap();
        let packages: Vec<Value> = of.packages.iter().map(|(n, v)| json!({ "name": n, "version": v })).collect();
        fs::write(scratch.path().join("packages.json"), Value::from(packages).to_string()).unwrap();
        fs::write(scratch.path().join("kernel-release"), format!("{}\n", of.kernel)).unwrap();
        for (path, text) in [("boot/vmlinuz", of.kernel.repeat(1000)), (LOADER, "loader".repeat(1000))] {
            let path = scratch.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let base = self.store.add("debian-trixie-base", scratch, &[]).unwrap().path;
        let scratch = self.store.scratch().unwrap();
        fs::write(scratch.path().join("initrd"), "initrd".repeat(5000)).unwrap();
        let initrd = self.store.add("initrd", scratch, &[]).unwrap().path;
        let scratch = self.store.scratch().unwrap();
        for (path, text) in of.etc.iter().chain([(&"cairn/machine.yaml", &of.machine)]) {
            let path = scratch.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        symlink("/usr/share/zoneinfo/UTC", scratch.path().join("localtime")).unwrap();
        let etc = self.store.add("etc", scratch, &[]).unwrap().path;
        let grub = of.grub.as_ref().map(|code| {
            let scratch = self.store.scratch().unwrap();
            fs::write(scratch.path().join("boot.img"), code.sector).unwrap();
            fs::write(scratch.path().join("core.img"), &code.core).unwrap();
            fs::write(scratch.path().join("grubx64.efi"), "a program ".repeat(900)).unwrap();
            self.store.add("grub", scratch, &[]).unwrap().path
        });
        let inputs = format!("{base} {etc} {grub:?} {} {}", of.machine, of.root);
        let path = Store::input_addressed_path("cairn-system-test", inputs.as_bytes()).unwrap();
        let scratch = self.store.scratch().unwrap();
        let folder = scratch.path();
        symlink(base.to_string(), folder.join("base")).unwrap();
        symlink(etc.to_string(), folder.join("etc")).unwrap();
        if let Some(grub) = &grub {
            symlink(grub.to_string(), folder.join("loader")).unwrap();
        }
        symlink(format!("{initrd}/initrd"), folder.join("initrd")).unwrap();
        fs::write(folder.join("machine.yaml"), &of.machine).unwrap();
        let spec = json!({ "org.nixos.bootspec.v1": {
            "init": format!("{path}/init"), "initrd": format!("{initrd}/initrd"),
            "kernel": format!("{base}/boot/vmlinuz"), "kernelParams": [format!("root={}", of.root), "quiet"],
            "label": "Debian", "system": "x86_64-linux", "toplevel": path.to_string(),
        }, "org.nixos.specialisation.v1": {} });
        fs::write(folder.join("boot.json"), spec.to_string()).unwrap();
        let candidates: Vec<StorePath> = [base, initrd, etc].into_iter().chain(grub).collect();
        self.store.add_input_addressed(&path, scratch, &candidates, None).unwrap().path
    }

    /// An entry of the menu; `counter`: what stands before `.conf`.
    pub fn entry(&self, number: u64, system: &StorePath, counter: &str) -> PathBuf {
        let path = self.root().join(format!("boot/loader/entries/cairn-01234567-{number}-abcdef01{counter}.conf"));
        let text = format!("title x\nlinux /cairn/x\noptions init={system}/init quiet cairn.generation={number}\n");
        fs::write(&path, text).unwrap();
        path
    }

    /// Writes nonsense into a file of a system.
    pub fn damage(&self, index: usize, name: &str) {
        let folder = self.store.real_path(&self.systems[index]);
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        fs::remove_file(folder.join(name)).unwrap();
        fs::write(folder.join(name), "{").unwrap();
    }

    fn register(&self) {
        let infos = self.store.closure(&self.systems).unwrap();
        database::write(&self.root().join(database::DATABASE_DIR), &infos).unwrap();
    }

    /// Writes what the running kernel would say.
    pub fn boot(&self, number: u64) {
        let mut line = String::from("BOOT_IMAGE=x ");
        let system = &self.systems[usize::try_from(number).unwrap() - 1];
        write!(line, "init={system}/init quiet cairn.generation={number}").unwrap();
        fs::write(self.root().join("proc/cmdline"), line).unwrap();
    }

    /// The same machine as a raw image.
    pub fn image(&self) -> PathBuf {
        self.image_with(&Disk::of_layout(NamedLayout::Uefi), Uuid::from_u128(1), None)
    }

    /// The same machine as a raw image that a BIOS starts too.
    pub fn image_with_grub(&self, code: &BootCode) -> PathBuf {
        self.image_with(&Disk::of_layout(NamedLayout::Hybrid), disk_seed(SEED, "main"), Some(code))
    }

    fn image_with(&self, disk: &Disk, seed: Uuid, code: Option<&BootCode>) -> PathBuf {
        let mut tree = Tree::new();
        for folder in ["nix", "var"] {
            tree.add_folder(folder, &self.root().join(folder), FolderOptions::default()).unwrap();
        }
        let file = |path: String| {
            let bytes = fs::read(self.root().join("boot").join(&path)).unwrap();
            FatFile::from_bytes(path, bytes)
        };
        let files: Vec<FatFile> = self.boot_files().into_iter().map(file).collect();
        let needs = Needs { esp: fat::needed(&files), root: ext4::needed(&tree, 8 << 20).unwrap(), ..Needs::default() };
        let plan = plan(disk, seed, &needs, None).unwrap();
        let path = self.root().join("machine.raw");
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).unwrap();
        let target = FileTarget::new(file, path.to_string_lossy(), plan.bytes()).unwrap();
        let contents = Contents {
            files: [("/boot".into(), &files as &dyn fat::FatContents)].into(),
            trees: [("/".into(), &tree)].into(),
        };
        apply(&plan, &contents, FIRST, &target, 1, &Quiet).unwrap();
        if let Some(code) = code {
            code.write(&target, plan.core_image_area().unwrap()).unwrap();
        }
        path
    }

    /// Everything below the folder: names, kinds, times and contents, to see that nothing was changed.
    pub fn fingerprint(&self) -> String {
        fn walk(folder: &Path, text: &mut String) {
            let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap()).collect();
            entries.sort_by_key(std::fs::DirEntry::file_name);
            for entry in entries {
                let meta = entry.path().symlink_metadata().unwrap();
                writeln!(text, "{} {:?} {}", entry.path().display(), meta.modified().unwrap(), meta.len()).unwrap();
                if meta.is_dir() {
                    walk(&entry.path(), text);
                }
            }
        }
        let mut text = String::new();
        walk(self.root(), &mut text);
        text
    }
}
