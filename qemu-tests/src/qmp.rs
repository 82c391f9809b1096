//! QEMU's control socket: screenshots and keys.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// A conversation.
#[derive(Debug)]
pub struct Qmp {
    socket: UnixStream,
    lines: BufReader<UnixStream>,
}

impl Qmp {
    /// Begins.
    pub fn connect(socket: UnixStream) -> Result<Qmp> {
        socket.set_read_timeout(Some(Duration::from_secs(30)))?;
        let lines = BufReader::new(socket.try_clone()?);
        let mut qmp = Qmp { socket, lines };
        qmp.ask("qmp_capabilities", &json!({}))?;
        Ok(qmp)
    }

    /// Runs one command.
    pub fn ask(&mut self, command: &str, arguments: &Value) -> Result<Value> {
        writeln!(self.socket, "{}", json!({ "execute": command, "arguments": arguments }))?;
        loop {
            let mut line = String::new();
            self.lines.read_line(&mut line).with_context(|| format!("waiting for QEMU's answer to {command}"))?;
            let value: Value = serde_json::from_str(&line).with_context(|| format!("QEMU says '{line}'"))?;
            if value.get("error").is_some() {
                bail!("QEMU refuses {command}: {line}");
            }
            if let Some(answer) = value.get("return") {
                return Ok(answer.clone());
            }
        }
    }

    /// Types text on the keyboard of a US layout.
    pub fn type_text(&mut self, text: &str) -> Result<()> {
        for c in text.chars() {
            let (shift, code) = key(c)?;
            let mut keys = vec![json!({ "type": "qcode", "data": code })];
            if shift {
                keys.insert(0, json!({ "type": "qcode", "data": "shift" }));
            }
            self.ask("send-key", &json!({ "keys": keys, "hold-time": 40 }))?;
            // An emulated guest takes its time; keys that come too fast are lost in the controller.
            std::thread::sleep(Duration::from_millis(120));
        }
        Ok(())
    }

    /// Presses one key, by QEMU's name for it.
    pub fn press(&mut self, key: &str) -> Result<()> {
        let keys = [json!({ "type": "qcode", "data": key })];
        self.ask("send-key", &json!({ "keys": keys, "hold-time": 40 }))?;
        Ok(())
    }

    /// How many pixels of the screen are not black.
    pub fn lit(&mut self, scratch: &Path) -> Result<usize> {
        self.ask("screendump", &json!({ "filename": scratch }))?;
        let ppm = std::fs::read(scratch)?;
        // Some bytes of header; exactness is not needed to see text come.
        let pixels = ppm.get(16..).unwrap_or_default().chunks_exact(3);
        Ok(pixels.filter(|pixel| pixel.iter().any(|byte| *byte > 64)).count())
    }

    /// Waits until this many more pixels are lit than `before`; a letter has some twenty.
    pub fn wait_for_text(&mut self, scratch: &Path, before: usize, more: usize, patience: Duration) -> Result<()> {
        let end = Instant::now() + patience;
        loop {
            let lit = self.lit(scratch)?;
            if lit >= before + more {
                return Ok(());
            }
            if Instant::now() > end {
                bail!("the screen shows no new text: {lit} pixels are lit, {before} were before");
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

fn key(c: char) -> Result<(bool, String)> {
    Ok(match c {
        'a'..='z' | '0'..='9' => (false, c.to_string()),
        'A'..='Z' => (true, c.to_ascii_lowercase().to_string()),
        '\n' => (false, "ret".into()),
        ' ' => (false, "spc".into()),
        '-' => (false, "minus".into()),
        '/' => (false, "slash".into()),
        '.' => (false, "dot".into()),
        ';' => (false, "semicolon".into()),
        '\'' => (false, "apostrophe".into()),
        '|' => (true, "backslash".into()),
        '>' => (true, "dot".into()),
        '&' => (true, "7".into()),
        '(' => (true, "9".into()),
        other => bail!("no key for '{other}'"),
    })
}
