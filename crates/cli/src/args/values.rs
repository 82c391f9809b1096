//! Values of arguments: how they are written, and what is said of one that is not.

use cairn_disk::image::Format;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

/// Memory in MiB, as QEMU takes it.
pub(super) fn parse_memory(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u64 = match &text[digits.len()..] {
        "M" | "MiB" => 1,
        "G" | "GiB" => 1 << 10,
        _ => return Err("give a number with M or G, such as 512M or 2G".into()),
    };
    let count: u64 = digits.parse().map_err(|_| "give a whole number with M or G, such as 512M or 2G")?;
    match count.checked_mul(unit) {
        Some(mib) if (64..=1 << 20).contains(&mib) => Ok(mib),
        _ => Err("give between 64M and 1024G".into()),
    }
}

/// The size of a disk's sectors.
pub(super) fn sector_size(text: &str) -> Result<u32, String> {
    match text {
        "512" => Ok(512),
        "4096" | "4K" => Ok(4096),
        _ => Err("disks have sectors of 512 or 4096 bytes".into()),
    }
}

/// Which partition of the machine is which of those that are there: `root=3`.
pub(super) fn parse_use(text: &str) -> Result<(String, u32), String> {
    let parts = text.split_once('=').and_then(|(name, number)| Some((name, number.parse::<u32>().ok()?)));
    match parts {
        Some((name, number)) if !name.is_empty() && number > 0 => Ok((name.to_string(), number)),
        _ => Err("give a partition of the machine and the number of one that is there, such as root=3".into()),
    }
}

/// The formats of images, by the names in their table.
pub(super) fn formats() -> impl TypedValueParser<Value = Format> {
    let values = Format::ALL.map(|format| PossibleValue::new(format.name()).help(format.about()));
    PossibleValuesParser::new(values)
        .try_map(|name| Format::by_name(&name).ok_or_else(|| format!("there is no format {name}")))
}

/// The number of a generation.
pub(super) fn parse_generation(text: &str) -> Result<u64, String> {
    text.parse()
        .ok()
        .filter(|n| *n > 0)
        .ok_or_else(|| "give a generation's number, as `cairn generations` lists them".into())
}

/// How many of the newest generations stay.
pub(super) fn parse_keep(text: &str) -> Result<u32, String> {
    let wrong = || "give how many of the newest generations stay, 1 or more".to_string();
    text.parse().ok().filter(|n| *n > 0).ok_or_else(wrong)
}

/// A span of time in seconds.
pub(super) fn parse_age(text: &str) -> Result<u64, String> {
    let wrong = || "give a whole number with h, d or w, such as 12h, 30d or 8w".to_string();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u64 = match &text[digits.len()..] {
        "h" => 3600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return Err(wrong()),
    };
    let count: u64 = digits.parse().map_err(|_| wrong())?;
    count.checked_mul(unit).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_with_its_unit() {
        assert_eq!(parse_memory("512M"), Ok(512));
        assert_eq!(parse_memory("2G"), Ok(2048));
        assert_eq!(parse_memory("1GiB"), Ok(1024));
        for bad in ["", "G", "1", "-1G", "0M", "63M", "1.5G", "1 G", "99999999999999999999G", "17179869184G"] {
            assert!(parse_memory(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_age_is_read_with_its_unit() {
        assert_eq!((parse_age("12h"), parse_age("30d"), parse_age("8w")), (Ok(43_200), Ok(2_592_000), Ok(4_838_400)));
        for bad in ["", "d", "30", "-1d", "1.5d", "1 d", "1m", "99999999999999999999d", "999999999999999999w"] {
            assert!(parse_age(bad).is_err(), "{bad}");
        }
    }
}
