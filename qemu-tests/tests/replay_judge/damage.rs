//! Reading volumes, whole ones and damaged ones.

use qemu_tests::judge::fat::{Fat, Flaw};
use qemu_tests::judge::volume::{Hashes, survey};

use crate::{image, volume};

/// Where the FAT of the test's volume begins.
fn table(bytes: &[u8]) -> usize {
    usize::from(u16::from_le_bytes([bytes[14], bytes[15]])) * 512
}

fn set(bytes: &mut [u8], cluster: u32, next: u16) {
    let copy = usize::from(u16::from_le_bytes([bytes[22], bytes[23]])) * 512;
    for fat in [table(bytes), table(bytes) + copy] {
        let at = fat + cluster as usize * 2;
        bytes[at..at + 2].copy_from_slice(&next.to_le_bytes());
    }
}

const LONG: &str = "loader/entries/A-rather-long-name-with-Ümlaut+3-1.conf";

#[test]
fn what_another_fat_wrote_is_read() {
    let big: Vec<u8> = (0..50_000u32).map(|n| n as u8).collect();
    let bytes = volume(&[(LONG, b"title x"), ("EFI/BOOT/BOOTX64.EFI", &big), ("empty", b"")]);
    let image = image(&bytes);
    let fat = Fat::open(&image).unwrap();
    let node = fat.find(LONG).unwrap();
    assert_eq!(fat.contents(&node).unwrap(), b"title x");
    let program = fat.find("/efi/boot/bootx64.efi").unwrap();
    assert_eq!(fat.contents(&program).unwrap(), big);
    assert_eq!(Hashes::default().of(&fat, &program), Hashes::default().of(&fat, &program));
    let survey = survey(&fat);
    assert!(survey.nodes.values().all(|(_, flaw)| flaw.is_none()) && survey.shared.is_empty());
    assert_eq!((survey.lost, survey.copies_differ, survey.nodes.len()), (0, false, 7));
    assert!(fat.find("EFI/BOOT/other").is_none() && fat.find("empty/other").is_none());
}

#[test]
fn every_flaw_of_a_chain_is_seen() {
    let whole = volume(&[("a", &[1; 10_000]), ("b", &[2; 10_000])]);
    let first = Fat::open(&image(&whole)).unwrap().find("a").unwrap().first;
    let flaw = |cluster: u32, next: u16| {
        let mut bytes = whole.clone();
        set(&mut bytes, cluster, next);
        let image = image(&bytes);
        let fat = Fat::open(&image).unwrap();
        let survey = survey(&fat);
        (fat.file_chain(&fat.find("a").unwrap()).err(), survey.shared.len(), survey.lost)
    };
    assert_eq!(flaw(first, 0), (Some(Flaw::Free(first)), 0, 2));
    assert_eq!(flaw(first + 1, 0xffff), (Some(Flaw::Short), 0, 1));
    assert_eq!(flaw(first + 2, first as u16), (Some(Flaw::Loop), 0, 0));
    assert_eq!(flaw(first + 1, 0xfff0), (Some(Flaw::Outside(0x0fff_fff0)), 0, 1));
    let b = Fat::open(&image(&whole)).unwrap().find("b").unwrap().first;
    // The chain of the one leads into the other.
    assert_eq!(flaw(first + 1, (b + 2) as u16).1, 1);
    assert_eq!(flaw(first + 2, (b + 2) as u16).0, Some(Flaw::Long));
}

#[test]
fn a_long_name_whose_slots_do_not_belong_together_is_not_used() {
    let mut bytes = volume(&[(LONG, b"title x")]);
    let at = bytes.windows(8).position(|w| w == b"A-RATH~1").unwrap();
    bytes[at + 1] = b'B';
    let image = image(&bytes);
    let fat = Fat::open(&image).unwrap();
    assert!(fat.find(LONG).is_none());
    assert_eq!(fat.list("loader/entries")[0].name, "ABRATH~1.CON");
}

#[test]
fn what_is_no_volume_is_refused() {
    assert!(Fat::open(&image(&[0; 4096])).is_err());
}
