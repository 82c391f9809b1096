//! One boot: the machine runs, is asked, answers, and switches itself off.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use cairn_process::{Report, Running};

use super::answer::{Answer, Line};
use super::cards::Card;
use super::check::Check;
use super::script::{PORT, READY, credentials, script};
use super::topics::{Answers, Boot, Question};
use crate::console;
use crate::qemu::{Accel, Cause, Display, Drive, Event, Firmware, Guest, Network, Port, QemuError, Qmp, Serial};
use crate::scratch::Scratch;
use crate::screenshot;

/// What both boots have in common.
#[derive(Debug)]
pub(super) struct Hardware {
    pub accel: Accel,
    pub firmware: Firmware,
    pub memory: u64,
    pub cpus: u32,
    /// In the order in which the kernel meets them.
    pub disks: Vec<Drive>,
    /// The image's own name, for messages.
    pub image: PathBuf,
    pub cards: Vec<Card>,
    pub deadline: Duration,
}

/// One boot to be made.
#[derive(Debug)]
pub(super) struct Session {
    pub questions: Vec<Question>,
    pub boot: Boot,
    /// A login prompt is expected on the serial console.
    pub serial: bool,
    /// Take a picture of the screen.
    pub picture: bool,
}

/// How a boot ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// All answers came, and the machine switched itself off.
    PowerOff,
    /// All answers came, and then this.
    AfterAnswers(String),
    /// Not all answers came, because of this.
    Trouble(String),
    /// KVM stopped the machine.
    AcceleratorGaveUp,
}

/// What a boot gave.
#[derive(Debug)]
pub(super) struct Record {
    pub answers: Answers,
    pub end: End,
    pub seconds: f64,
    pub console: Vec<u8>,
    pub picture: Option<Vec<u8>>,
    /// Whether a login prompt came on the serial console, where one was waited for.
    pub serial_prompt: Option<bool>,
    /// Seconds until the kernel's first words on the serial console.
    pub kernel_at: Option<f64>,
}

/// How long to wait for data before looking around.
const TICK: Duration = Duration::from_millis(200);
/// How long nothing may be said of what is waited for.
const SILENCE: Duration = Duration::from_secs(20);
/// How long the login prompt may take when the machine says that it has started.
const PROMPT: Duration = Duration::from_secs(60);
/// How long a power-off may take.
const POWER_OFF: Duration = Duration::from_secs(180);

impl Record {
    /// What the boot itself says, apart from the answers.
    pub(super) fn checks(&self, name: &str, deadline: Duration) -> Vec<Check> {
        let expected = format!("all answers within {} s", deadline.as_secs());
        let mut checks = Vec::new();
        match &self.end {
            End::Trouble(trouble) => checks.push(Check::new(name, false, expected, trouble)),
            _ => checks.push(Check::new(name, true, expected, format!("all answers after {:.1} s", self.seconds))),
        }
        if let Some(prompt) = self.serial_prompt {
            let found = if prompt { "login:" } else { "no prompt" };
            checks.push(Check::equal("login prompt on the serial console", "login:", found));
        }
        match &self.end {
            End::PowerOff => checks.push(Check::equal(format!("{name}: power-off"), "clean", "clean")),
            End::AfterAnswers(trouble) => {
                checks.push(Check::new(format!("{name}: power-off"), false, "clean", trouble))
            }
            _ => {}
        }
        checks
    }
}

impl Session {
    /// Runs it to its end.
    pub(super) fn run(self, hardware: &Hardware, report: &dyn Report) -> Result<Record, QemuError> {
        let begin = Instant::now();
        let script = script(&self.questions, self.boot);
        let scratch = |bytes: &[u8]| Scratch::holding(bytes).map_err(QemuError::io("making a scratch file"));
        let console = scratch(b"")?;
        let credentials = credentials(&script, &hardware.cards);
        let credentials = credentials.iter().map(|c| scratch(c.as_bytes())).collect::<Result<Vec<_>, _>>()?;
        // The socket needs a name only until QEMU is there.
        let folder = tempfile::Builder::new()
            .prefix("cairn-")
            .tempdir()
            .map_err(QemuError::io("making a folder for a socket"))?;
        let socket = folder.path().join("port");
        let listener = UnixListener::bind(&socket).map_err(QemuError::io("listening on a socket"))?;
        let machine = Guest {
            accel: hardware.accel,
            firmware: hardware.firmware.clone(),
            memory: hardware.memory,
            cpus: hardware.cpus,
            disks: hardware.disks.clone(),
            network: Network::Closed,
            cards: hardware.cards.iter().map(|card| card.mac.clone()).collect(),
            display: Display::Headless,
            serial: Serial::File(console.path()),
            smbios: credentials.iter().map(Scratch::path).collect(),
            port: Some(Port { name: PORT, socket }),
            tpm: None,
            control: true,
            reboots: false,
        };
        let mut qemu = machine.tool().start(Stdio::piped(), Stdio::piped())?;
        let port = match accept(&listener, &mut qemu)? {
            Some(port) => port,
            // It ended before it began: its own words say why.
            None => {
                qemu.wait().map_err(|error| QemuError::from_exit(error, &hardware.image, None))?;
                return Err(QemuError::Control { command: "start".into(), answer: "it ended at once".into() });
            }
        };
        drop(folder);
        let pipes = qemu.take_stdin().zip(qemu.take_stdout());
        // Both were asked for above.
        let (input, output) =
            pipes.ok_or_else(|| QemuError::Control { command: "start".into(), answer: "no pipes".into() })?;
        let mut qmp = Qmp::start(input, output);
        qmp.greet()?;
        let mut talk = Talk {
            session: &self,
            qemu,
            qmp,
            console: &console,
            lines: Lines::new(port.try_clone().map_err(QemuError::io("using the port"))?)?,
            port,
            answers: Answers::new(),
            picture: None,
            serial_prompt: None,
            begin,
            kernel_at: None,
            script: Some(script),
        };
        let (end, seconds) = talk.listen_to_the_end(hardware, report)?;
        let Talk { answers, picture, serial_prompt, kernel_at, .. } = talk;
        let length = console.len().map_err(QemuError::io("reading the console"))?;
        let text = console
            .read_from(0, usize::try_from(length).unwrap_or(usize::MAX))
            .map_err(QemuError::io("reading the console"))?;
        Ok(Record { answers, end, seconds, console: text, picture, serial_prompt, kernel_at })
    }
}

/// Waits until QEMU has connected; `None` when it ended instead.
fn accept(listener: &UnixListener, qemu: &mut Running) -> Result<Option<UnixStream>, QemuError> {
    listener.set_nonblocking(true).map_err(QemuError::io("listening on a socket"))?;
    loop {
        match listener.accept() {
            Ok((port, _)) => {
                port.set_nonblocking(false).map_err(QemuError::io("using the port"))?;
                return Ok(Some(port));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if qemu.try_wait()?.is_some() {
                    return Ok(None);
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(error) => return Err(QemuError::io("listening on a socket")(error)),
        }
    }
}

/// A boot under way.
struct Talk<'a> {
    session: &'a Session,
    qemu: Running,
    qmp: Qmp,
    console: &'a Scratch,
    port: UnixStream,
    lines: Lines,
    answers: Answers,
    picture: Option<Vec<u8>>,
    serial_prompt: Option<bool>,
    begin: Instant,
    kernel_at: Option<f64>,
    /// What is still to be sent, when the machine is ready for it.
    script: Option<String>,
}

impl Talk<'_> {
    /// Sends without waiting: how soon the machine reads is its affair.
    fn send(&self, bytes: Vec<u8>) -> Result<(), QemuError> {
        let mut port = self.port.try_clone().map_err(QemuError::io("using the port"))?;
        // Fails when the machine ends first, which is seen elsewhere.
        std::thread::spawn(move || port.write_all(&bytes));
        Ok(())
    }

    /// Takes answers until the machine is off. Gives also the seconds until the last answer.
    fn listen_to_the_end(&mut self, hardware: &Hardware, report: &dyn Report) -> Result<(End, f64), QemuError> {
        let begin = self.begin;
        let mut told = begin;
        let mut looking: Option<Instant> = None;
        let mut cause = None;
        loop {
            let mut done = false;
            for line in self.lines.read() {
                if let Some(script) = self.script.take_if(|_| line == READY.as_bytes()) {
                    self.send(script.into_bytes())?;
                    continue;
                }
                if self.script.is_some() {
                    continue;
                }
                match serde_json::from_slice(&line) {
                    Ok(Line::Answer { id, exit, out, err }) => {
                        self.answers.insert(id, Answer { exit, out: out.0, err: err.0 });
                    }
                    Ok(Line::Word { say }) if say == "look" => looking = Some(Instant::now()),
                    Ok(Line::Word { say }) => done |= say == "done",
                    Err(_) => {
                        let line = String::from_utf8_lossy(&line);
                        return Ok((
                            End::Trouble(format!("an answer that is none: {line}")),
                            begin.elapsed().as_secs_f64(),
                        ));
                    }
                }
            }
            let seconds = begin.elapsed().as_secs_f64();
            if done {
                return Ok((self.power_off(cause)?, seconds));
            }
            if let Some(since) = looking
                && self.look(since)?
            {
                looking = None;
            }
            if let Some(trouble) = self.trouble(&mut cause, hardware)? {
                return Ok((trouble, seconds));
            }
            if begin.elapsed() > hardware.deadline {
                self.take_picture();
                let trouble = format!("still waiting for {} after {seconds:.0} s", self.awaited());
                return Ok((End::Trouble(trouble), seconds));
            }
            if told.elapsed() > SILENCE {
                told = Instant::now();
                let last = console::last_words(&self.console_text()?).unwrap_or_else(|| "nothing yet".into());
                report.note(&format!("after {seconds:.0} s, waiting for {}; its console: {last}", self.awaited()));
            }
        }
    }

    /// What comes next, in words.
    fn awaited(&self) -> String {
        let next = self.session.questions.iter().find(|q| !self.answers.contains_key(&q.id));
        next.map_or("the end".into(), |q| format!("the answer to '{}'", q.id))
    }

    /// The machine waits until it has been looked at. True when that is done.
    fn look(&mut self, since: Instant) -> Result<bool, QemuError> {
        if self.session.serial {
            let prompt = self.console_text()?.windows(6).any(|w| w == b"login:");
            if !prompt && since.elapsed() < PROMPT {
                return Ok(false);
            }
            self.serial_prompt = Some(prompt);
        }
        self.take_picture();
        self.send(b"\n".to_vec())?;
        Ok(true)
    }

    /// A picture that cannot be had is not worth an error.
    fn take_picture(&mut self) {
        if self.session.picture {
            self.picture = screenshot::take(&mut self.qmp).ok();
        }
    }

    /// Whether the machine has given up or is gone.
    fn trouble(&mut self, cause: &mut Option<Cause>, hardware: &Hardware) -> Result<Option<End>, QemuError> {
        while let Some(event) = self.qmp.event(Duration::ZERO) {
            match event {
                Event::Stop if hardware.accel == Accel::Kvm => return Ok(Some(End::AcceleratorGaveUp)),
                Event::Shutdown(told) => *cause = Some(told),
                Event::Stop => {}
            }
        }
        let text = self.console_text()?;
        if self.kernel_at.is_none() && text.windows(13).any(|w| w == b"Linux version") {
            self.kernel_at = Some(self.begin.elapsed().as_secs_f64());
        }
        if let Some(words) = console::hopeless(&text) {
            self.take_picture();
            return Ok(Some(End::Trouble(words.into())));
        }
        if self.qemu.try_wait()?.is_some() {
            // What it sent last may still be in the socket.
            let rest = self.lines.read();
            if !rest.is_empty() {
                self.lines.give_back(rest);
                return Ok(None);
            }
            // Nor has its last event been read, if it came in this moment.
            while let Some(event) = self.qmp.event(TICK) {
                if let Event::Shutdown(told) = event {
                    *cause = Some(told);
                }
            }
            let how = match cause {
                Some(Cause::Signal) => return Err(QemuError::Stopped),
                Some(Cause::PowerOff) => "switched itself off",
                _ => "restarted (a kernel panic does that) or crashed",
            };
            return Ok(Some(End::Trouble(format!("the machine {how} before it had answered"))));
        }
        Ok(None)
    }

    /// Waits until the machine has switched itself off.
    fn power_off(&mut self, mut cause: Option<Cause>) -> Result<End, QemuError> {
        let end = Instant::now() + POWER_OFF;
        while Instant::now() < end {
            if let Some(Event::Shutdown(told)) = self.qmp.event(TICK) {
                cause = Some(told);
            }
            if self.qemu.try_wait()?.is_some() {
                while let Some(event) = self.qmp.event(TICK) {
                    if let Event::Shutdown(told) = event {
                        cause = Some(told);
                    }
                }
                return Ok(match cause {
                    Some(Cause::PowerOff) => End::PowerOff,
                    Some(Cause::Signal) => return Err(QemuError::Stopped),
                    Some(Cause::Other) => End::AfterAnswers("the machine restarted instead".into()),
                    None => End::AfterAnswers("QEMU ended without a word of the machine".into()),
                });
            }
        }
        Ok(End::AfterAnswers(format!("the machine still runs {} s later", POWER_OFF.as_secs())))
    }

    fn console_text(&self) -> Result<Vec<u8>, QemuError> {
        let length = self.console.len().map_err(QemuError::io("reading the console"))?;
        self.console
            .read_from(0, usize::try_from(length).unwrap_or(usize::MAX))
            .map_err(QemuError::io("reading the console"))
    }
}

/// The port's bytes as lines.
struct Lines {
    port: UnixStream,
    held: Vec<u8>,
    ready: Vec<Vec<u8>>,
}

impl Lines {
    fn new(port: UnixStream) -> Result<Lines, QemuError> {
        port.set_read_timeout(Some(TICK)).map_err(QemuError::io("using the port"))?;
        Ok(Lines { port, held: Vec::new(), ready: Vec::new() })
    }

    /// The whole lines that are there; waits a tick for the first one.
    fn read(&mut self) -> Vec<Vec<u8>> {
        if !self.ready.is_empty() {
            return std::mem::take(&mut self.ready);
        }
        let mut buffer = vec![0; 1 << 16];
        match self.port.read(&mut buffer) {
            Ok(0) => std::thread::sleep(TICK), // the end of QEMU is seen elsewhere
            Ok(n) => self.held.extend_from_slice(&buffer[..n]),
            Err(_) => {}
        }
        let mut lines = Vec::new();
        while let Some(at) = self.held.iter().position(|b| *b == b'\n') {
            let mut line: Vec<u8> = self.held.drain(..=at).collect();
            line.pop();
            // Our own answers come back as blank lines when the port echoes.
            if !line.is_empty() {
                lines.push(line);
            }
        }
        lines
    }

    fn give_back(&mut self, lines: Vec<Vec<u8>>) {
        self.ready = lines;
    }
}
