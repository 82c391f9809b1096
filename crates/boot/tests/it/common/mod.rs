//! A boot partition in memory that can break, generations to put on it, and a loader that reads it.
#![allow(dead_code, missing_docs, reason = "each test binary uses a part")]

pub mod changes;
pub mod programs;
pub mod signed;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, Read};

use ::bootspec::SystemConfigurationRoot;
use ::bootspec::v1::BootSpecV1;
use cairn_boot::*;
use cairn_machine::model::Boot;
use sha2::{Digest, Sha256};
use uuid::Uuid;

pub const CLUSTER: u64 = 4096;

/// What stops the volume.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stop {
    #[default]
    Never,
    /// The power goes before this write.
    Cut(usize),
    /// This write and all later ones say: no space.
    Full(usize),
    /// This call, reading or writing, fails once with an I/O error.
    Broken(usize),
    /// This call and all later ones fail with an I/O error.
    Dead(usize),
    /// The bytes of the file that this call opens cannot be read to their end.
    Torn(usize),
    /// Of the file that is written by this step (the first is 1), the disk has another last byte; memory has the right one.
    Lies(usize),
    /// The file that is read back by this step cannot be read.
    Blind(usize),
}

/// A file whose second half cannot be read.
struct Torn<'a>(&'a [u8]);

impl Read for Torn<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer) {
            Ok(0) => Err(eio()),
            other => other,
        }
    }
}

/// Contents that come in pieces, with an interruption before each.
pub struct Halting(VecDeque<Option<Vec<u8>>>);

impl Halting {
    pub fn of(bytes: &[u8]) -> Halting {
        Halting(bytes.chunks(20).flat_map(|piece| [None, Some(piece.to_vec())]).collect())
    }
}

impl Read for Halting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.pop_front() {
            None => Ok(0),
            Some(None) => Err(io::ErrorKind::Interrupted.into()),
            Some(Some(piece)) => {
                let count = piece.len().min(buffer.len());
                buffer[..count].copy_from_slice(&piece[..count]);
                if count < piece.len() {
                    self.0.push_front(Some(piece[count..].to_vec()));
                }
                Ok(count)
            }
        }
    }
}

/// Opens what is to be written, which comes with interruptions.
pub fn halting(content: &Content) -> io::Result<Box<dyn Read>> {
    let mut bytes = Vec::new();
    open(content)?.read_to_end(&mut bytes)?;
    Ok(Box::new(Halting::of(&bytes)))
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    pub files: BTreeMap<String, Vec<u8>>,
    pub directories: BTreeSet<String>,
    pub capacity: u64,
    pub stop: Stop,
    /// Writes so far: each is a moment at which the power may go.
    pub writes: usize,
    /// Reads and writes so far.
    pub calls: std::cell::Cell<usize>,
    pub writes_to: Vec<String>,
    /// Files that were written whole so far.
    pub wholes: usize,
    /// Files that are another thing on the disk than in memory.
    pub spoiled: BTreeSet<String>,
    /// Files that were read back so far.
    pub read_back: std::cell::Cell<usize>,
    /// How often everything before was waited for.
    pub barriers: usize,
}

fn eio() -> io::Error {
    io::Error::from_raw_os_error(5)
}

impl Memory {
    pub fn new(capacity: u64) -> Memory {
        Memory { capacity, ..Memory::default() }
    }

    pub fn used(&self) -> u64 {
        self.files.values().map(|f| (f.len() as u64).div_ceil(CLUSTER) * CLUSTER).sum()
    }

    fn call(&self) -> io::Result<()> {
        self.calls.set(self.calls.get() + 1);
        match self.stop {
            Stop::Broken(at) if self.calls.get() == at => Err(eio()),
            Stop::Dead(at) if self.calls.get() >= at => Err(eio()),
            _ => Ok(()),
        }
    }

    /// One write is to come: does it still happen?
    fn write(&mut self, path: &str) -> io::Result<()> {
        self.call()?;
        self.writes += 1;
        match self.stop {
            Stop::Cut(at) if self.writes >= at => Err(io::ErrorKind::Interrupted.into()),
            Stop::Full(at) if self.writes >= at => Err(io::ErrorKind::StorageFull.into()),
            _ => {
                self.writes_to.push(path.to_string());
                Ok(())
            }
        }
    }

    /// A file has got its contents: what does the disk make of it?
    fn whole(&mut self, path: &str) {
        self.wholes += 1;
        if self.stop == Stop::Lies(self.wholes) {
            self.spoiled.insert(path.to_string());
        } else {
            self.spoiled.remove(path);
        }
    }

    /// A new file: empty, then whole. Each of these a power cut can leave.
    fn new_file(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        for part in [0, bytes.len()] {
            if let Err(error) = self.write(path) {
                // As a mounted partition does it; after a cut nobody is there to do it.
                if !matches!(self.stop, Stop::Cut(_)) {
                    self.files.remove(path);
                }
                return Err(error);
            }
            self.files.insert(path.to_string(), bytes[..part].to_vec());
        }
        Ok(())
    }

    /// The spelling of a path that is there: as on FAT, capitals make no difference.
    fn spelled(&self, path: &str) -> String {
        let same = self.files.keys().find(|p| p.eq_ignore_ascii_case(path));
        same.cloned().unwrap_or_else(|| path.to_string())
    }

    fn is_directory(&self, path: &str) -> bool {
        path.is_empty()
            || self.directories.contains(path)
            || self.files.keys().any(|f| f.starts_with(&format!("{path}/")))
    }
}

impl ReadVolume for Memory {
    fn list(&self, directory: &str) -> io::Result<Vec<(String, Kind)>> {
        self.call()?;
        if self.files.contains_key(directory) {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let mut found = BTreeMap::new();
        let prefix = if directory.is_empty() { String::new() } else { format!("{directory}/") };
        for path in self.files.keys().chain(&self.directories) {
            // As on FAT, capitals make no difference.
            let Some(rest) =
                path.get(prefix.len()..).filter(|_| path.to_lowercase().starts_with(&prefix.to_lowercase()))
            else {
                continue;
            };
            match rest.split_once('/') {
                Some((name, _)) => found.insert(name.to_string(), Kind::Directory),
                None if self.directories.contains(path) => found.insert(rest.to_string(), Kind::Directory),
                None => found.insert(rest.to_string(), Kind::File(self.files[path].len() as u64)),
            };
        }
        Ok(found.into_iter().collect())
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn Read + '_>> {
        self.call()?;
        if self.is_directory(path) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let bytes = self.files.get(&self.spelled(path)).ok_or(io::ErrorKind::NotFound)?;
        if self.stop == Stop::Torn(self.calls.get()) {
            return Ok(Box::new(Torn(&bytes[..bytes.len() / 2])));
        }
        Ok(Box::new(bytes.as_slice()))
    }

    fn space(&self) -> io::Result<Space> {
        self.call()?;
        Ok(Space { cluster: CLUSTER, free: self.capacity.saturating_sub(self.used()) })
    }
}

impl Volume for Memory {
    fn create(&mut self, path: &str, contents: &mut dyn Read, len: u64) -> io::Result<()> {
        let mut bytes = Vec::new();
        contents.read_to_end(&mut bytes)?;
        assert_eq!(bytes.len() as u64, len, "{path}");
        if self.files.keys().any(|p| p.eq_ignore_ascii_case(path)) || self.is_directory(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.new_file(path, &bytes)?;
        self.whole(path);
        Ok(())
    }

    /// Under another name first; that one and those of earlier, which may own the same clusters, go when it has its own.
    fn replace(&mut self, path: &str, contents: &mut dyn Read, len: u64) -> io::Result<()> {
        let mut bytes = Vec::new();
        contents.read_to_end(&mut bytes)?;
        assert_eq!(bytes.len() as u64, len, "{path}");
        let path = &*self.spelled(path);
        if !self.files.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let left: Vec<String> =
            self.files.keys().filter(|p| p.starts_with(path) && p.ends_with(".new")).cloned().collect();
        let aside = if left.is_empty() { format!("{path}.new") } else { format!("{path}-{}.new", left.len()) };
        self.new_file(&aside, &bytes)?;
        self.write(path)?;
        self.files.remove(&aside);
        self.files.insert(path.into(), bytes);
        self.whole(path);
        for path in left {
            self.write(&path)?;
            self.files.remove(&path);
        }
        Ok(())
    }

    fn overwrite(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let path = &*self.spelled(path);
        assert!(self.files.contains_key(path), "{path}");
        assert!(bytes.len() <= SECTOR, "more than a sector is not overwritten at once");
        self.write(path)?;
        let file = self.files.get_mut(path).unwrap();
        file.resize(file.len().max(bytes.len()), 0);
        file[..bytes.len()].copy_from_slice(bytes);
        self.whole(path);
        Ok(())
    }

    fn remove(&mut self, path: &str) -> io::Result<()> {
        let path = &*self.spelled(path);
        self.write(path)?;
        self.files.remove(path).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn barrier(&mut self) -> io::Result<()> {
        self.barriers += 1;
        self.call()
    }

    fn open_on_disk(&self, path: &str) -> io::Result<Box<dyn Read + '_>> {
        self.read_back.set(self.read_back.get() + 1);
        if self.stop == Stop::Blind(self.read_back.get()) {
            return Err(eio());
        }
        let mut bytes = Vec::new();
        self.open(path)?.read_to_end(&mut bytes)?;
        if self.spoiled.contains(&self.spelled(path)) {
            let last = bytes.last_mut().expect("an empty file cannot be another one");
            *last ^= 1;
        }
        Ok(Box::new(io::Cursor::new(bytes)))
    }
}

pub fn installation() -> Installation {
    Installation::of_seed(Uuid::from_bytes([9; 16]))
}

/// The bytes of a file in the store: a name, over and over.
pub fn store_bytes(artifact: &Artifact) -> Vec<u8> {
    let size = usize::try_from(artifact.size).unwrap();
    let mut bytes = artifact.store_path.as_bytes().repeat(size / artifact.store_path.len() + 1);
    bytes.truncate(size);
    bytes
}

pub fn artifact(name: &str, size: u64) -> Artifact {
    let mut artifact = Artifact { store_path: format!("/nix/store/{name}"), sha256: [0; 32], size };
    artifact.sha256 = Sha256::digest(store_bytes(&artifact)).into();
    artifact
}

pub fn generation(number: u64, kernel: &str, initrd: &str) -> Generation {
    let system = format!("/nix/store/{number:08}-system");
    Generation {
        number,
        bootspec: BootSpecV1 {
            label: "hello".into(),
            kernel: format!("/nix/store/{kernel}").into(),
            kernel_params: vec!["root=UUID=1".into(), "quiet".into()],
            init: format!("{system}/init").into(),
            initrd: Some(format!("/nix/store/{initrd}").into()),
            initrd_secrets: None,
            system: "x86_64-linux".into(),
            toplevel: SystemConfigurationRoot(system.into()),
        },
        name: "hello".into(),
        date: "2026-11-15".into(),
        kernel_release: Some("6.12.107".into()),
        kernel: artifact(kernel, 20_000),
        initrd: Some(artifact(initrd, 15_000)),
        device_tree: None,
        variants: Vec::new(),
    }
}

pub fn open(content: &Content) -> io::Result<Box<dyn Read>> {
    Ok(match content {
        Content::Bytes(bytes) => Box::new(io::Cursor::new(bytes.clone())),
        Content::Store(artifact) => Box::new(io::Cursor::new(store_bytes(artifact))),
        Content::Signed(program) => Box::new(io::Cursor::new(signed::bytes(&program.pieces))),
    })
}

/// A machine: its generations, its record, its boot partition.
#[derive(Debug, Clone)]
pub struct Machine {
    pub generations: Vec<Generation>,
    pub record: Record,
    pub boot: Boot,
    pub booted: Option<u64>,
    pub program: Artifact,
    /// The loader, if it is another one than systemd-boot of that program.
    pub loader: Option<LoaderProgram>,
    pub may_remove: bool,
    pub shared: bool,
    /// Whether it signs by keys of its own.
    pub own_keys: bool,
    pub files: Vec<BootFile>,
    pub volume: Memory,
}

impl Machine {
    pub fn new(capacity: u64) -> Machine {
        Machine {
            generations: vec![generation(1, "k1", "i1")],
            record: Record::first(1),
            boot: Boot::default(),
            booted: None,
            program: artifact("loader", 9000),
            loader: None,
            may_remove: true,
            shared: false,
            own_keys: false,
            files: Vec::new(),
            volume: Memory::new(capacity),
        }
    }

    pub fn menu_of<T>(&self, ask: impl FnOnce(&Menu<'_>) -> T) -> T {
        let program = match (&self.loader, self.own_keys) {
            (Some(loader), _) => loader.clone(),
            (None, true) => LoaderProgram::OwnKeys(signed::loader(&self.program)),
            (None, false) => LoaderProgram::SystemdBoot(self.program.clone()),
        };
        self.menu_with(&program, None, None, ask)
    }

    /// The same with another loader, the memory test, or a generation that is to boot once.
    pub fn menu_with<T>(
        &self,
        program: &LoaderProgram,
        memtest: Option<&MemtestPrograms>,
        once: Option<u64>,
        ask: impl FnOnce(&Menu<'_>) -> T,
    ) -> T {
        let images = self.own_keys.then(|| signed::images(&self.generations));
        ask(&Menu {
            images: images.as_ref(),
            installation: installation(),
            boot: &self.boot,
            generations: &self.generations,
            record: &self.record,
            booted: self.booted,
            program,
            two_partitions: false,
            shared: self.shared,
            memtest,
            files: &self.files,
            once,
            complete: self.may_remove,
        })
    }

    pub fn survey(&self) -> io::Result<Present> {
        let fixed = self.menu_of(|menu| menu.fixed_paths().unwrap());
        survey(Partitions { esp: Some(&self.volume), boot: None }, installation(), &fixed)
    }

    pub fn plan(&self) -> Result<Update, PlanError> {
        let present = self.survey().unwrap();
        self.plan_for(&present)
    }

    pub fn plan_for(&self, present: &Present) -> Result<Update, PlanError> {
        self.set_and_plan(present).map(|(_, update)| update)
    }

    fn set_and_plan(&self, present: &Present) -> Result<(BootSet, Update), PlanError> {
        match self.menu_of(|menu| menu.plan(present)) {
            Ok(planned) => Ok(planned),
            Err(MenuError::Plan(error)) => Err(error),
            Err(error) => panic!("{error}"),
        }
    }

    /// Brings the partition up to date, or as far as it gets.
    pub fn update(&mut self) -> Result<Update, String> {
        let present = self.survey().map_err(|e| e.to_string())?;
        let (set, plan) = self.set_and_plan(&present).map_err(|e| e.to_string())?;
        // What is new is ours before it is there, and what goes is ours until it is gone.
        let is_ours = |f: &&BootFile| f.role == Role::SecondStage || ENROLLED.contains(&&*f.path);
        let seconds = set.files.iter().filter(is_ours).filter(|f| f.is_remembered(installation()));
        let hash = |file: &BootFile| file.content.sha256().iter().map(|b| format!("{b:02x}")).collect::<String>();
        let seconds: BTreeMap<String, String> = seconds.map(|file| (file.path.clone(), hash(file))).collect();
        self.record.files.extend(seconds.clone());
        let mut target = Target { esp: Some(&mut self.volume), boot: None };
        apply(&plan, &mut target, &open, &mut |_| ()).map_err(|e| e.to_string())?;
        let ours = |path: &str| path.starts_with("EFI/BOOT/") || ENROLLED.contains(&path);
        self.record.files.retain(|path, _| !ours(path) || seconds.contains_key(path));
        Ok(plan)
    }

    pub fn add(&mut self, generation: Generation) {
        self.record.try_next(generation.number);
        self.generations.push(generation);
    }

    /// The entries as systemd-boot would list them, the one that it boots first; only those whose files are whole.
    pub fn menu(&self) -> Vec<String> {
        menu(&self.volume, &self.generations)
    }
}

/// What systemd-boot makes of a partition: sorted by tries, sort key, version.
pub fn menu(volume: &Memory, generations: &[Generation]) -> Vec<String> {
    let mut entries: Vec<(bool, String, std::cmp::Reverse<u64>, String)> = Vec::new();
    for (path, bytes) in &volume.files {
        let Some(name) = path.strip_prefix("loader/entries/").filter(|n| n.ends_with(".conf")) else { continue };
        let text = String::from_utf8_lossy(bytes);
        let get = |key: &str| text.lines().find_map(|l| l.strip_prefix(&format!("{key} "))).map(str::to_string);
        let Some(linux) = get("linux").or_else(|| get("efi")) else { continue };
        if !volume.files.contains_key(linux.trim_start_matches('/')) {
            continue;
        }
        let tries = name.rsplit_once('+').map(|(_, c)| c.trim_end_matches(".conf").split('-').next().unwrap() == "0");
        let version = std::cmp::Reverse(get("version").and_then(|v| v.parse().ok()).unwrap_or(0));
        entries.push((tries.unwrap_or(false), get("sort-key").unwrap_or("~".into()), version, name.to_string()));
    }
    entries.sort();
    let _ = generations;
    entries.into_iter().map(|(.., name)| name).collect()
}

/// Whether an entry without a counter starts a good generation with whole files.
pub fn is_safe(machine: &Machine, good: &[u64]) -> bool {
    menu(&machine.volume, &machine.generations).iter().any(|name| {
        let Some(parsed) = EntryName::parse(installation(), name) else { return false };
        parsed.counter.is_none() && good.contains(&parsed.number) && is_whole(machine, &parsed)
    })
}

/// Entries that a loader would show and that do not start whole files: a power cut must not leave one, counted or not.
pub fn broken_entries(machine: &Machine) -> Vec<String> {
    let mut broken = menu(&machine.volume, &machine.generations);
    broken.retain(|name| EntryName::parse(installation(), name).is_none_or(|entry| !is_whole(machine, &entry)));
    broken
}

pub fn is_whole(machine: &Machine, entry: &EntryName) -> bool {
    let Some(generation) = machine.generations.iter().find(|g| g.number == entry.number) else { return false };
    let text = &machine.volume.files[&entry.path()];
    let folder = installation().folder();
    let file = |artifact: &Artifact, ending: &str| {
        let hash: String = artifact.sha256[..16].iter().map(|b| format!("{b:02x}")).collect();
        machine.volume.files.get(&format!("{folder}/{hash}-{ending}")) == Some(&store_bytes(artifact))
    };
    let text = String::from_utf8_lossy(text);
    if *entry != EntryName::of(installation(), entry.number, &text, entry.counter) {
        return false;
    }
    if let Some(image) = text.lines().find_map(|line| line.strip_prefix("efi /")) {
        // What says that it is on trial, says so to the image.
        return machine.volume.files.get(image) == Some(&signed::bytes(&signed::image(generation).pieces))
            && text.contains("options @1") == entry.counter.is_some();
    }
    file(&generation.kernel, "linux") && file(generation.initrd.as_ref().unwrap(), "initrd")
}
