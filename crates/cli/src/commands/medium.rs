//! `cairn medium`: the medium from which systems are installed.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use cairn_layout::human;
use cairn_machine::{Problems, wifi_passphrase};
use cairn_make::machine_file::load;
use cairn_make::plain_file;
use cairn_process::{Refusal, Usage};
use image_builder::medium::{ANSWERS, Firmware, KEYS, WIFI, Wish, add, beside, make};
use serde_json::json;

use crate::args::{FirmwareSet, MediumAction, MediumAddArgs, MediumArgs};
use crate::exit::Exit;
use crate::kit;
use crate::terminal::{INTERRUPT, Reading};
use crate::ui::Ui;

pub fn run(args: MediumArgs, ui: &Ui) -> anyhow::Result<Exit> {
    if let Some(MediumAction::Add(args)) = &args.action {
        return add_to(args, ui);
    }
    let firmware = match args.firmware {
        FirmwareSet::None => Firmware::None,
        FirmwareSet::Network => Firmware::Network,
        FirmwareSet::All => Firmware::All,
    };
    let kit = kit::kit(None)?;
    let made = make(&Wish { systems: &args.files, firmware, output: &args.output }, &kit, ui.report())?;
    if ui.json() {
        ui.object(&json!({
            "medium": args.output,
            "bytes": made.bytes,
            "payload": made.payload,
            "root_hash": made.root_hash,
            "systems": made.systems,
        }))?;
    } else {
        let what = made.systems.join(", ");
        ui.line(format_args!("{} ({}): installs {what}", args.output.display(), human(made.bytes)))?;
    }
    Ok(Exit::Done)
}

fn add_to(args: &MediumAddArgs, ui: &Ui) -> anyhow::Result<Exit> {
    let mut files = Vec::new();
    if let Some(config) = &args.config {
        let checked = load(config)?;
        if checked.machine.install.is_none() {
            let help = "`install: {disk: only}` takes the only disk that there is".to_string();
            let message = "it does not say how it is installed: there is no `install:`".to_string();
            return Err(Problems::from(checked.problem("", message, Some(help))).into());
        }
        files.push((ANSWERS.to_string(), read(config)?));
        files.extend(beside(config, &checked)?);
    }
    if let Some(key) = &args.key {
        files.push((KEYS.to_string(), keys(&read(key)?).with_context(|| format!("reading {}", key.display()))?));
    }
    if let Some(name) = &args.wifi {
        let said = passphrase(args.passphrase_file.as_deref(), ui)?;
        let text = wifi(name, &said);
        let text = match &args.passphrase_file {
            Some(file) => text.with_context(|| format!("reading {}", file.display())),
            None => text,
        };
        files.push((WIFI.to_string(), text?.into_bytes()));
    }
    if files.is_empty() {
        return Err(Usage("say what is to be added: --config FILE, --key FILE, --wifi NAME".into()).into());
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    add(&args.medium, &files, i64::try_from(now).unwrap_or(0))?;
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    if ui.json() {
        ui.object(&json!({ "medium": args.medium, "added": names }))?;
    } else {
        ui.line(format_args!("{} has {} now", args.medium.display(), names.join(", ")))?;
    }
    Ok(Exit::Done)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    plain_file::read(path, plain_file::SOURCE).with_context(|| format!("reading {}", path.display()))
}

/// The passphrase of a wireless network: of a file, or of somebody at the terminal.
fn passphrase(file: Option<&Path>, ui: &Ui) -> anyhow::Result<Vec<u8>> {
    if let Some(file) = file {
        return plain_file::read(file, plain_file::HASH).with_context(|| format!("reading {}", file.display()));
    }
    let hidden = ui.can_ask().then(|| Reading::begin(false)).transpose().context("hiding what is typed")?;
    let line = ui.ask("The passphrase of the wireless network (it is not shown): ")?;
    drop(hidden);
    let line = line.ok_or_else(|| Usage("say where the passphrase is: --passphrase-file FILE".into()))?;
    ui.talk("\n");
    if line.ends_with(INTERRUPT) || !line.ends_with('\n') {
        return Err(Refusal("stopped: nothing was added".into()).into());
    }
    Ok(line.into_bytes())
}

/// The file for the medium: the name in the first line, the passphrase in the second.
fn wifi(name: &str, passphrase: &[u8]) -> anyhow::Result<String> {
    if name.is_empty() || name.len() > 32 || name.chars().any(char::is_control) {
        return Err(Usage("the name of a wireless network has 1 to 32 bytes, and no control characters".into()).into());
    }
    if passphrase.iter().all(|byte| b"\r\n".contains(byte)) {
        return Ok(format!("{name}\n"));
    }
    let passphrase = wifi_passphrase(passphrase).map_err(|why| Refusal(why.to_string()))?;
    Ok(format!("{name}\n{passphrase}\n"))
}

/// A file of public keys, one in a line; the private one beside it is easily taken for it.
fn keys(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    if text.contains("PRIVATE KEY") {
        return Err(
            Refusal("it is a private key, which is nobody's business: give the file that ends in .pub".into()).into()
        );
    }
    let is_key = |line: &str| ["ssh-", "ecdsa-", "sk-"].iter().any(|begin| line.starts_with(begin));
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).peekable();
    if lines.peek().is_none() || !lines.all(is_key) {
        return Err(Refusal("it has no public SSH key (`ssh-ed25519 ...`) in each line".into()).into());
    }
    Ok(format!("{}\n", text.trim_end()).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wireless_network_is_two_lines() {
        assert_eq!(wifi("home", b"correct horse\n").unwrap(), "home\ncorrect horse\n");
        assert_eq!(wifi("guests", b"\r\n").unwrap(), "guests\n");
        for (name, passphrase) in [("", &b"long enough"[..]), ("two\nlines", b"long enough"), ("home", b"short")] {
            assert!(wifi(name, passphrase).is_err(), "{name}");
        }
    }
}
