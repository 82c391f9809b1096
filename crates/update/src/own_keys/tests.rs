//! On Debian the machine that runs the tests is a base too: its own openssl and sbsign draw and sign.

use std::fs;

use ::cairn_boot::bootspec;
use cairn_boot::{Artifact, Content};
use cairn_observe::view;

use super::*;

/// A program for UEFI of one section, as small as sbsign takes it.
fn program(text: &str) -> Vec<u8> {
    const OPTIONAL: usize = 0x98;
    let mut bytes = vec![0; 1024];
    let mut put = |at: usize, what: &[u8]| bytes[at..at + what.len()].copy_from_slice(what);
    put(0, b"MZ");
    put(0x3c, &[0x80]);
    put(0x80, b"PE\0\0\x64\x86\x01");
    put(0x94, &[240, 0, 0x22]);
    put(OPTIONAL, &[0x0b, 2]);
    let numbers = [(16, 0x1000_u32), (20, 0x1000), (32, 4096), (36, 512), (56, 8192), (60, 1024), (68, 10), (108, 16)];
    numbers.into_iter().for_each(|(at, number)| put(OPTIONAL + at, &number.to_le_bytes()));
    put(OPTIONAL + 240, b".text");
    let section = [(8, 512_u32), (12, 0x1000), (16, 512), (20, 1024), (36, 0x6000_0020)];
    section.into_iter().for_each(|(at, number)| put(OPTIONAL + 240 + at, &number.to_le_bytes()));
    bytes.extend(text.as_bytes());
    bytes.resize(1536, 0);
    bytes
}

const BASE: &str = "/nix/store/ahyjzyg8ib0lajwdv2jgc7xgf145c48d-base";

/// A machine of a store with one base, and two generations of it.
struct Fake {
    folder: tempfile::TempDir,
    root: Root,
    generations: Vec<Generation>,
}

impl Fake {
    /// Nothing where nothing here can sign.
    fn new() -> Option<Fake> {
        for program in ["openssl", "sbsign", "sbverify"] {
            if !Path::new("/usr/bin").join(program).exists() {
                cairn_testkit::skip(format!("`apt-get install openssl sbsigntool` brings {program}"));
                return None;
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let put = |path: &str, bytes: &[u8]| {
            let path = folder.path().join(path.trim_start_matches('/'));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        put(&format!("{BASE}/{SYSTEMD_BOOT}"), &program("a loader"));
        put(&format!("{BASE}/{STUB}"), &program("a stub that knows of .profile"));
        for number in 1..=2 {
            put(&format!("{BASE}/kernel-{number}"), format!("kernel {number} ").repeat(3000).as_bytes());
        }
        fs::create_dir_all(folder.path().join("nix/var/nix/profiles")).unwrap();
        fs::create_dir_all(folder.path().join(OWN)).unwrap();
        let root = Root::open(folder.path()).unwrap();
        let generations = (1..=2).map(|number| generation(&root, number)).collect();
        Some(Fake { folder, root, generations })
    }

    fn signer(&self) -> Signer<'_> {
        Signer { root: &self.root, base: Path::new("/") }
    }

    fn own(&self) -> OwnKeys<'static> {
        let view = view::folder(self.folder.path()).unwrap();
        OwnKeys::new(&view.root, &StorePath::from_absolute(BASE).unwrap(), [].into_iter())
    }

    fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(OWN).join(FOLDER).join(path)
    }

    /// What is signed, with somebody who signs what is not, or without.
    fn signed(&self, signer: Option<&Signer<'_>>) -> anyhow::Result<Result<SignedSet, String>> {
        let own = self.own();
        let keys = own.keys().unwrap().unwrap();
        own.signed(&keys, &self.generations, &BTreeSet::from([1, 2]), signer)
    }

    fn signatures(&self) -> Vec<PathBuf> {
        let mut all: Vec<PathBuf> =
            fs::read_dir(self.at(SIGNATURES)).unwrap().map(|entry| entry.unwrap().path()).collect();
        all.sort();
        all
    }
}

fn generation(root: &Root, number: u64) -> Generation {
    let store_path = format!("{BASE}/kernel-{number}");
    let bytes = root.read(&store_path, 1 << 20).unwrap().unwrap();
    let json = serde_json::json!({
        "org.nixos.bootspec.v1": {
            "label": "fake", "system": "x86_64-linux", "kernel": store_path, "kernelParams": ["quiet"],
            "init": format!("{BASE}/init"), "toplevel": BASE,
        }
    });
    let parsed = bootspec::parse(json.to_string().as_bytes(), Path::new("boot.json")).unwrap();
    Generation {
        number,
        bootspec: parsed.system.bootspec,
        name: "fake".into(),
        date: "2026-12-01".into(),
        kernel_release: None,
        kernel: Artifact { store_path, sha256: Sha256::digest(&bytes).into(), size: bytes.len() as u64 },
        initrd: None,
        device_tree: None,
        variants: Vec::new(),
    }
}

#[test]
fn a_signature_comes_back_whole_or_not_at_all() {
    let packed = pack([7; 32], b"signature");
    assert_eq!(unpack(&packed), Some(([7; 32], &b"signature"[..])));
    for len in 0..packed.len() {
        assert_eq!(unpack(&packed[..len]), None, "{len}");
    }
    for at in 0..packed.len() {
        let mut other = packed.clone();
        other[at] ^= 1;
        assert_eq!(unpack(&other), None, "{at}");
    }
    assert_eq!(unpack(&pack([7; 32], b"")), None);
}

#[test]
fn what_is_signed_stays_and_what_is_new_is_signed() {
    let Some(fake) = Fake::new() else { return };
    assert!(fake.own().keys().unwrap().is_none());
    // What an earlier run has left.
    fs::create_dir_all(fake.signer().folder().unwrap().join("scratch-old")).unwrap();
    fake.signer().draw("fake", Uuid::nil()).unwrap();
    let mut there: Vec<_> = fs::read_dir(fake.at("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    there.sort();
    assert_eq!(there, [KEYS]);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&fake.at("")), mode(&fake.at(KEYS))), (0o700, 0o700));
    assert!(fs::read_dir(fake.at(KEYS)).unwrap().all(|entry| mode(&entry.unwrap().path()) == 0o600));

    // Nobody signs, and then somebody does, once.
    assert_eq!(fake.signed(None).unwrap().unwrap_err(), "the boot loader");
    let set = fake.signed(Some(&fake.signer())).unwrap().unwrap();
    assert_eq!(fake.signatures().len(), 3);
    let again = fake.signed(None).unwrap().unwrap();
    assert_eq!((&again.images, &again.loader), (&set.images, &set.loader));
    assert_eq!(fake.signed(Some(&fake.signer())).unwrap().unwrap().images, set.images);

    // Another's program says that it is well signed, as it would be written.
    let programs = set.images.generations.values().flatten().chain([&set.loader]);
    for signed in programs {
        let mut bytes = Vec::new();
        cairn_make::contents::open(&fake.root, &Content::Signed(signed.clone()))
            .unwrap()
            .read_to_end(&mut bytes)
            .unwrap();
        assert_eq!((bytes.len() as u64, Sha256::digest(&bytes).as_slice()), (signed.size, &signed.sha256[..]));
        let path = fake.folder.path().join("program");
        fs::write(&path, &bytes).unwrap();
        let verify =
            cairn_process::Tool::new("sbverify", "sbsigntool", "test").arg("--cert").arg(fake.at("keys/db.crt"));
        verify.arg(&path).run().unwrap();
    }

    // One that is torn is made again, the others stay; what nobody needs goes.
    let before = fake.signatures();
    let torn = fs::read(&before[0]).unwrap();
    fs::write(&before[0], &torn[..torn.len() - 1]).unwrap();
    assert!(fake.signed(None).unwrap().is_err());
    let set = fake.signed(Some(&fake.signer())).unwrap().unwrap();
    assert_eq!(fake.signatures(), before);
    fs::write(fake.at(SIGNATURES).join("nobody-s"), "").unwrap();
    fake.signer().tidy(&set);
    assert_eq!(fake.signatures(), before);
}

#[test]
fn neither_a_changed_kernel_is_signed_nor_anything_by_a_part_of_the_keys() {
    let Some(fake) = Fake::new() else { return };
    fake.signer().draw("fake", Uuid::nil()).unwrap();
    let kernel = fake.folder.path().join(fake.generations[1].kernel.store_path.trim_start_matches('/'));
    let mut bytes = fs::read(&kernel).unwrap();
    bytes[77] ^= 1;
    fs::write(&kernel, bytes).unwrap();
    let error = fake.signed(Some(&fake.signer())).unwrap_err();
    assert!(error.is::<Refusal>() || error.chain().any(|cause| cause.is::<Refusal>()), "{error:#}");
    assert!(format!("{error:#}").contains("is not signed: the disk may be failing"), "{error:#}");
    // Loader and first generation; nothing of the second, and nothing to work with is left.
    assert_eq!(fake.signatures().len(), 2);

    for name in ["db.key", "db.crt", "db.der", "PK.auth", "KEK.auth", "db.auth"] {
        let path = fake.at(KEYS).join(name);
        let bytes = fs::read(&path).unwrap();
        for lost in [true, false] {
            if lost {
                fs::remove_file(&path).unwrap()
            } else {
                fs::write(&path, "").unwrap()
            }
            let error = fake.own().keys().unwrap_err();
            assert!(error.is::<Refusal>() && error.to_string().contains(&format!("{name} is lost")), "{error:#}");
        }
        fs::write(&path, bytes).unwrap();
    }
    assert!(fake.own().keys().unwrap().is_some());
    fs::remove_dir_all(fake.at(KEYS)).unwrap();
    fs::write(fake.at(KEYS), "").unwrap();
    assert!(fake.own().keys().unwrap_err().to_string().contains("is no folder"));
}
