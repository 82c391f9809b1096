//! What a machine signs by keys of its own: the loader and an image of each generation that has an entry. The keys and the signatures
//! are in the machine's own state, where root alone can read them. A signature says when it was made, so one program has two if it is
//! signed twice; it is kept, and a program that has been signed stays the same, byte for byte.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::Context;
use cairn_boot::{ENROLLED, Generation, Images, Piece, Signed, Unsigned};
use cairn_make::contents::put_together;
use cairn_make::loader::{STUB, SYSTEMD_BOOT};
use cairn_observe::Usable;
use cairn_observe::view::{Files, Kind};
use cairn_process::Refusal;
use cairn_root::Root;
use cairn_store::{StorePath, to_hex};
use cairn_system::secure_boot;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::turn::{OWN, now};

/// The machine's keys, and the signatures, in its own state.
const FOLDER: &str = "secure-boot";
const KEYS: &str = "keys";
const SIGNATURES: &str = "signatures";
/// Longer keys, and longer signatures, are none.
const MOST: u64 = 1 << 20;
/// Longer stubs and loaders are none.
const MOST_PROGRAM: u64 = 16 << 20;
/// What must not stay if it is ended while it signs.
const SCRATCH: &str = "scratch-";

/// What is needed to sign, and what was signed.
#[derive(Debug)]
pub(crate) struct OwnKeys<'a> {
    files: Rc<dyn Files + 'a>,
    /// The newest generation's base, which has the loader and the programs that sign.
    base: StorePath,
    /// The base of each generation, where it has one.
    bases: BTreeMap<u64, StorePath>,
}

/// The keys of a machine.
#[derive(Debug)]
pub(crate) struct Keys {
    key: Vec<u8>,
    certificate: Vec<u8>,
    /// As the firmware knows it.
    pub(crate) der: Vec<u8>,
    enrolled: Vec<(&'static str, Vec<u8>)>,
}

/// What signs, for somebody who may change the machine.
#[derive(Debug)]
pub(crate) struct Signer<'s> {
    /// The machine's root.
    pub(crate) root: &'s Root,
    /// Where the base is whose programs are run.
    pub(crate) base: &'s Path,
}

/// What goes onto the boot partition, signed.
#[derive(Debug)]
pub(crate) struct SignedSet {
    pub(crate) images: Images,
    pub(crate) loader: Signed,
    /// The names of the signatures that any of the generations needs.
    used: BTreeSet<String>,
}

impl<'a> OwnKeys<'a> {
    /// Of a machine with these generations.
    pub(crate) fn new<'u>(
        files: &Rc<dyn Files + 'a>,
        base: &StorePath,
        generations: impl Iterator<Item = &'u Usable<'u>>,
    ) -> OwnKeys<'a> {
        let bases = generations.filter_map(|one| Some((one.boot.number, one.base.clone()?))).collect();
        OwnKeys { files: Rc::clone(files), base: base.clone(), bases }
    }

    /// The machine's keys; nothing where none were drawn yet.
    ///
    /// # Errors
    /// A refusal where something of them is lost: what is signed by others the firmware would not start.
    pub(crate) fn keys(&self) -> anyhow::Result<Option<Keys>> {
        let folder = format!("/{OWN}/{FOLDER}/{KEYS}");
        let shown = self.files.shown(&folder);
        let looking = || format!("looking at {}", shown.display());
        match self.files.kind(&folder).with_context(looking)? {
            None => return Ok(None),
            Some(Kind::Folder) => {}
            Some(Kind::File | Kind::Other) => {
                return Err(Refusal(format!("{} is no folder: move it away", shown.display())).into());
            }
        }
        let read = |name: &str| -> anyhow::Result<Vec<u8>> {
            let path = format!("{folder}/{name}");
            let bytes =
                self.files.read(&path, MOST).with_context(|| format!("reading {}", shown.join(name).display()))?;
            match bytes.filter(|bytes| !bytes.is_empty()) {
                Some(bytes) => Ok(bytes),
                None => Err(Refusal(format!(
                    "of this machine's keys for Secure Boot {} is lost: bring it back from a copy; or take {} away, put the firmware \
                     into setup mode, and let `cairn boot repair` draw new keys",
                    shown.join(name).display(),
                    shown.display()
                ))
                .into()),
            }
        };
        let enrolled = ENROLLED.into_iter().zip(secure_boot::ENROLLED);
        Ok(Some(Keys {
            key: read(secure_boot::KEY)?,
            certificate: read(secure_boot::CERTIFICATE)?,
            der: read(secure_boot::CERTIFICATE_DER)?,
            enrolled: enrolled.map(|(path, name)| Ok((path, read(name)?))).collect::<anyhow::Result<_>>()?,
        }))
    }

    /// What these generations start by, signed. Of those in `kept` each has an image. What has no signature yet gets one, where somebody
    /// signs; otherwise the text says what lacks one.
    ///
    /// # Errors
    /// What cannot be signed, and why.
    pub(crate) fn signed(
        &self,
        keys: &Keys,
        generations: &[Generation],
        kept: &BTreeSet<u64>,
        signer: Option<&Signer<'_>>,
    ) -> anyhow::Result<Result<SignedSet, String>> {
        let program = self.program(&self.base, SYSTEMD_BOOT)?;
        let program = program.with_context(|| format!("there is no {SYSTEMD_BOOT} in {}", self.base))?;
        let loader = Unsigned::program(program).with_context(|| format!("{}/{SYSTEMD_BOOT}", self.base))?;
        let mut used = BTreeSet::new();
        let mut wanted = vec![(0, "the boot loader".to_string(), loader)];
        for generation in generations {
            let number = generation.number;
            let of = [None].into_iter().chain(generation.variants.iter().map(Some));
            for variant in of {
                let image = self.image(generation, variant)?;
                used.insert(name(keys, &image));
                if kept.contains(&number) {
                    wanted.push((number, format!("generation {number}"), image));
                }
            }
        }
        let mut images = Images { enrolled: keys.enrolled.clone(), ..Images::default() };
        let mut loader = None;
        for (number, what, unsigned) in wanted {
            let name = name(keys, &unsigned);
            let signed = match (self.remembered(&name, &unsigned)?, signer) {
                (Some(signed), _) => signed,
                (None, Some(signer)) => {
                    signer.sign(keys, &unsigned, &name).with_context(|| format!("signing {what}"))?
                }
                (None, None) => return Ok(Err(what)),
            };
            used.insert(name);
            match number {
                0 => loader = Some(signed),
                number => images.generations.entry(number).or_default().push(signed),
            }
        }
        let loader = loader.context("there is no boot loader")?;
        Ok(Ok(SignedSet { images, loader, used }))
    }

    /// The image of a generation: by the stub of its own base, so that it stays the same whatever comes later. Where that has none, as
    /// one that was made for another loader, by the newest one's.
    fn image(&self, generation: &Generation, variant: Option<&cairn_boot::Variant>) -> anyhow::Result<Unsigned> {
        let of = |base: &StorePath, stub: &[u8]| {
            let image = Unsigned::image(stub, generation, variant);
            image.map_err(|why| {
                let what = format!("{base}/{STUB} makes no image of generation {}: {why}", generation.number);
                anyhow::Error::from(Refusal(format!(
                    "{what}; `secure_boot: {{keys: own}}` needs Debian trixie, or newer"
                )))
            })
        };
        let own = self.bases.get(&generation.number).filter(|base| **base != self.base);
        if let Some(own) = own
            && let Some(stub) = self.program(own, STUB)?
            && let Ok(image) = of(own, &stub)
        {
            return Ok(image);
        }
        let stub = self.program(&self.base, STUB)?;
        of(&self.base, &stub.with_context(|| format!("there is no {STUB} in {}", self.base))?)
    }

    fn program(&self, base: &StorePath, path: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let read = self.files.read_inside(&base.to_string(), path, MOST_PROGRAM);
        read.with_context(|| format!("reading {path} of {base}"))
    }

    /// A program with the signature that is kept of it, if that is whole.
    fn remembered(&self, name: &str, unsigned: &Unsigned) -> anyhow::Result<Option<Signed>> {
        let path = format!("/{OWN}/{FOLDER}/{SIGNATURES}/{name}");
        let bytes =
            self.files.read(&path, MOST).with_context(|| format!("reading {}", self.files.shown(&path).display()))?;
        Ok(bytes.and_then(|bytes| {
            unpack(&bytes).map(|(sha256, signature)| Signed { sha256, ..unsigned.signed(signature) })
        }))
    }
}

/// What a signature is kept under: what it is of, and whose it is.
fn name(keys: &Keys, unsigned: &Unsigned) -> String {
    to_hex(&Sha256::digest([&unsigned.id()[..], &Sha256::digest(&keys.certificate)].concat()))
}

/// A signature as it is kept: a hash of what follows, the hash of the program with it, and the signature.
fn pack(sha256: [u8; 32], signature: &[u8]) -> Vec<u8> {
    let rest = [&sha256[..], signature].concat();
    [Sha256::digest(&rest).as_slice(), &rest].concat()
}

fn unpack(bytes: &[u8]) -> Option<([u8; 32], &[u8])> {
    let (hash, rest) = bytes.split_at_checked(32)?;
    let (sha256, signature) = rest.split_at_checked(32)?;
    let whole = Sha256::digest(rest).as_slice() == hash && !signature.is_empty();
    whole.then(|| sha256.try_into().ok().map(|sha256| (sha256, signature))).flatten()
}

impl Signer<'_> {
    /// Draws keys for the running machine. They are all there, or none are.
    pub(crate) fn draw(&self, hostname: &str, seed: Uuid) -> anyhow::Result<()> {
        let folder = self.folder()?;
        let scratch = self.scratch()?;
        secure_boot::draw(self.base, hostname, Uuid::new_v5(&seed, b"secure-boot"), now(), scratch.path())?;
        // On the disk before they have their name.
        for entry in fs::read_dir(scratch.path())? {
            let path = entry?.path();
            let sync = || {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
                fs::File::open(&path)?.sync_all()
            };
            sync().with_context(|| format!("writing {}", path.display()))?;
        }
        let made = scratch.keep();
        fs::File::open(&made)?.sync_all()?;
        let to = folder.join(KEYS);
        fs::rename(&made, &to).with_context(|| format!("naming {}", to.display()))?;
        Ok(fs::File::open(&folder)?.sync_all()?)
    }

    fn sign(&self, keys: &Keys, unsigned: &Unsigned, name: &str) -> anyhow::Result<Signed> {
        // The keys of a machine that does not run here are copied for the program that signs, to where nobody else can look.
        let scratch = if self.root.is_host() { self.scratch()? } else { private().tempdir()? };
        let path = |name: &str| scratch.path().join(name);
        for (name, bytes) in [(secure_boot::KEY, &keys.key), (secure_boot::CERTIFICATE, &keys.certificate)] {
            write_private(&path(name), bytes)?;
        }
        let image = path("image.efi");
        let mut file = fs::File::create(&image).with_context(|| format!("writing {}", image.display()))?;
        copy(self.root, unsigned.pieces(), &mut file).with_context(|| format!("writing {}", image.display()))?;
        let signature = secure_boot::sign(self.base, scratch.path(), &image)?;
        let mut signed = unsigned.signed(&signature);
        let mut hasher = Sha256::new();
        io::copy(&mut put_together(self.root, &signed.pieces)?, &mut hasher)?;
        signed.sha256 = hasher.finalize().into();
        let own = self.root.own(OWN)?.folder_or_new(FOLDER, 0o700)?.folder_or_new(SIGNATURES, 0o700)?;
        let written = own.write_durably(name, &pack(signed.sha256, &signature), 0o600);
        written.with_context(|| format!("writing {}", own.shown(name).display()))?;
        Ok(signed)
    }

    /// Removes signatures that no generation needs any more. One that is left takes a kilobyte.
    pub(crate) fn tidy(&self, set: &SignedSet) {
        let folder = || self.root.own(OWN)?.folder(FOLDER)?.folder(SIGNATURES);
        let Ok(folder) = folder() else { return };
        for name in folder.names("").ok().flatten().unwrap_or_default() {
            if name.to_str().is_none_or(|name| !set.used.contains(name)) {
                let _ = folder.remove_file(&name);
            }
        }
    }

    /// The folder of keys and signatures, on the machine that runs.
    fn folder(&self) -> anyhow::Result<PathBuf> {
        let own = self.root.own(OWN)?.folder_or_new(FOLDER, 0o700);
        Ok(own.with_context(|| format!("making {}", self.root.shown(OWN).join(FOLDER).display()))?.path().to_path_buf())
    }

    /// A folder to work in. What an earlier run has left, ended in the middle, goes.
    fn scratch(&self) -> anyhow::Result<tempfile::TempDir> {
        let folder = self.folder()?;
        let own = self.root.own(OWN)?.folder(FOLDER)?;
        for name in own.names("")?.unwrap_or_default() {
            if name.to_str().is_some_and(|name| name.starts_with(SCRATCH)) {
                own.remove_tree(&name)?;
            }
        }
        let made = private().tempdir_in(&folder);
        made.with_context(|| format!("making a folder in {}", folder.display()))
    }
}

/// A folder that nobody else may look into.
fn private() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(SCRATCH).permissions(fs::Permissions::from_mode(0o700));
    builder
}

fn write_private(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| file.write_all(bytes));
    written.with_context(|| format!("writing {}", path.display()))
}

/// Copies pieces, each of which has to be what it was when it was put into the store: nothing else is signed.
fn copy(root: &Root, pieces: &[Piece], to: &mut dyn Write) -> anyhow::Result<()> {
    for piece in pieces {
        match piece {
            Piece::Bytes(bytes) => to.write_all(bytes)?,
            Piece::Store(artifact) => {
                let file = root.open_file(&artifact.store_path);
                let file = file.with_context(|| format!("opening {}", artifact.store_path))?;
                let mut hasher = Sha256::new();
                let mut file = file.take(artifact.size);
                let mut buffer = vec![0; 1 << 20];
                loop {
                    match file.read(&mut buffer) {
                        Ok(0) => break,
                        Ok(count) => {
                            hasher.update(&buffer[..count]);
                            to.write_all(&buffer[..count])?;
                        }
                        Err(error) if error.kind() == ErrorKind::Interrupted => {}
                        Err(error) => return Err(error).with_context(|| format!("reading {}", artifact.store_path)),
                    }
                }
                if hasher.finalize().as_slice() != artifact.sha256 {
                    return Err(Refusal(format!(
                        "{} is not what it was when it was put into the store, and is not signed: the disk may be failing (`dmesg` tells)",
                        artifact.store_path
                    ))
                    .into());
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
