//! What a boot partition, a system and the firmware say.

use std::path::Path;

use bootloader_templates::grub::EnvBlock;
use cairn_boot::firmware::{BootEntry, Firmware, LoadOption, LoaderVariable, Override, Signature, changes, overrides};
use cairn_boot::{EntryName, Installation, Record};
use uuid::Uuid;

use super::Target;

/// A system's boot.json.
pub(super) const BOOT_JSON: Target =
    Target { name: "boot-json", seeds: boot_json_seeds, words: &JSON, most: 4096, quick: 4000, run: boot_json };

/// The machine's record of what boots.
pub(super) const RECORD: Target =
    Target { name: "boot-record", seeds: record_seeds, words: &JSON, most: 2048, quick: 20_000, run: record };

/// The name of a loader entry.
pub(super) const ENTRY_NAME: Target = Target {
    name: "entry-name",
    seeds: entry_name_seeds,
    words: &["+", "-", ".conf", "0", "18446744073709551616", "cairn-"],
    most: 300,
    quick: 50_000,
    run: entry_name,
};

/// GRUB's environment block.
pub(super) const ENV_BLOCK: Target = Target {
    name: "env-block",
    seeds: env_block_seeds,
    words: &["=", "\n", "\\", "#", "cairn_left", "saved_entry"],
    most: 1024,
    quick: 50_000,
    run: env_block,
};

/// An entry of the firmware's own menu.
pub(super) const LOAD_OPTION: Target = Target {
    name: "load-option",
    seeds: load_option_seeds,
    words: &["\u{4}\u{1}", "\u{7f}\u{ff}\u{4}\0"],
    most: 1024,
    quick: 50_000,
    run: load_option,
};

/// The variables of the firmware and of systemd-boot.
pub(super) const FIRMWARE: Target = Target {
    name: "firmware",
    seeds: firmware_seeds,
    words: &["c\0a\0i\0r\0n\0-\0", "*\0", "?\0", "@\0s\0a\0v\0e\0d\0", "\0\0", "\u{4}\u{1}"],
    most: 1024,
    quick: 20_000,
    run: firmware,
};

const JSON: [&str; 16] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    ":",
    ",",
    "null",
    "true",
    "1e999",
    "-0",
    "18446744073709551616",
    "\\u0000",
    "\\ud800",
    "/nix/store/../..",
    "\"org.nixos.specialisation.v1\":{",
];

fn installation() -> Installation {
    Installation::of_seed(Uuid::from_u128(9))
}

fn boot_json_seeds() -> Vec<Vec<u8>> {
    let store = "/nix/store/ssssssssssssssssssssssssssssssss";
    let bare = format!(
        r#"{{"org.nixos.bootspec.v1":{{"label":"hello","kernel":"{store}-k/linux","kernelParams":["quiet"],"init":"{store}-s/init","initrd":"{store}-i/initrd","system":"x86_64-linux","toplevel":"{store}-s"}},"org.nixos.systemd-boot":{{"devicetree":"{store}-d/x.dtb"}}}}"#
    );
    let with = |variants: &str| bare.replacen('{', &format!(r#"{{"org.nixos.specialisation.v1":{{{variants}}},"#), 1);
    let plain = with("");
    let variant = with(&format!(r#""old":{plain}"#));
    vec![plain.into(), variant.into()]
}

fn boot_json(bytes: &[u8]) {
    if let Ok(found) = cairn_boot::bootspec::parse(bytes, Path::new("boot.json")) {
        found.files().for_each(drop);
    }
}

fn record_seeds() -> Vec<Vec<u8>> {
    let mut record = Record::first(3);
    record.try_next(4);
    vec![Record::first(1).to_text().into(), record.to_text().into()]
}

fn record(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(record) = Record::parse(&text) {
        let again = Record::parse(&record.to_text()).unwrap_or_else(|e| panic!("what was read cannot be written: {e}"));
        assert_eq!(again, record);
    }
}

fn entry_name_seeds() -> Vec<Vec<u8>> {
    let plain = EntryName::of(installation(), 7, "text", None).to_string();
    vec![plain.clone().into(), plain.replace(".conf", "+3-1.conf").into()]
}

fn entry_name(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Some(name) = EntryName::parse(installation(), &text) {
        assert_eq!(EntryName::parse(installation(), &name.to_string()), Some(name));
    }
}

fn env_block_seeds() -> Vec<Vec<u8>> {
    let mut block = EnvBlock::new();
    block.arm("cairn-3", 3);
    [EnvBlock::new(), block].iter().filter_map(|block| Some(block.to_bytes().ok()?.to_vec())).collect()
}

fn env_block(bytes: &[u8]) {
    if let Ok(block) = EnvBlock::parse(bytes)
        && let Ok(bytes) = block.to_bytes()
    {
        assert_eq!(EnvBlock::parse(&bytes), Ok(block));
    }
}

fn load_option_seeds() -> Vec<Vec<u8>> {
    let of = |signature| LoadOption {
        description: "Linux".into(),
        partition: 1,
        start: 2048,
        sectors: 4096,
        signature,
        file: "EFI/x.efi".into(),
    };
    [Signature::Gpt(Uuid::from_u128(7)), Signature::Mbr(7)].map(|signature| of(signature).to_bytes()).to_vec()
}

fn load_option(bytes: &[u8]) {
    if let Some(option) = LoadOption::parse(bytes) {
        let _ = option.same_program(&option);
        let _ = LoadOption::parse(&option.to_bytes());
    }
}

/// The first byte says how long the order is, the second how long what systemd-boot boots is; the rest is an entry.
fn firmware_seeds() -> Vec<Vec<u8>> {
    let name: Vec<u8> = "cairn-*-7-????????.conf".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let option = load_option_seeds().swap_remove(0);
    vec![[&[4, 48][..], &[0, 0, 1, 0], &name, &[0, 0], &option].concat(), [&[2, 0][..], &[7, 0], &option].concat()]
}

fn firmware(bytes: &[u8]) {
    let Some((&[order, loader], rest)) = bytes.split_first_chunk() else { return };
    let (order, rest) = rest.split_at(usize::from(order).min(rest.len()));
    let (loader, option) = rest.split_at(usize::from(loader).min(rest.len()));
    let mut firmware = Firmware::default();
    firmware.set_order(order);
    LoaderVariable::ALL.into_iter().for_each(|variable| firmware.set_loader(variable, loader));
    firmware.entries.insert(7, option.to_vec());
    let entries: Vec<EntryName> = entry_name_seeds()
        .iter()
        .filter_map(|n| EntryName::parse(installation(), std::str::from_utf8(n).ok()?))
        .collect();
    let found: Vec<Override> = overrides(&firmware, &entries);
    assert_eq!(found.len(), firmware.set.len());
    let wanted = load_option_seeds().first().and_then(|bytes| LoadOption::parse(bytes));
    for wanted in [None, wanted.as_ref()] {
        let _ = changes(&BootEntry { installation: installation(), wanted }, &firmware);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_inputs_begin_with_is_read() {
        let text = |seed: &[u8]| String::from_utf8(seed.to_vec()).unwrap();
        for seed in boot_json_seeds() {
            cairn_boot::bootspec::parse(&seed, Path::new("boot.json")).unwrap();
        }
        assert!(record_seeds().iter().all(|seed| Record::parse(&text(seed)).is_ok()));
        assert!(entry_name_seeds().iter().all(|seed| EntryName::parse(installation(), &text(seed)).is_some()));
        assert!(env_block_seeds().iter().all(|seed| EnvBlock::parse(seed).is_ok()));
        assert!(load_option_seeds().iter().all(|seed| LoadOption::parse(seed).is_some()));
    }
}
