//! The `cairn` command: arguments in, exit code out. What it does is in the libraries; how it talks is here.

mod args;
mod cache;
mod commands;
mod docs;
mod exit;
mod live;
mod lock_file;
mod machine;
mod machine_file;
mod own_file;
mod pipeline;
mod plain_file;
mod progress;
mod signals;
mod table;
mod ui;

use std::io::ErrorKind;
use std::process::ExitCode;

use cairn_machine::{Problem, Problems};
use cairn_process::{AfterWrite, Refusal, Usage};
use cairn_store::StoreError;
use clap::Parser;
use image_builder::qemu::QemuError;
use image_builder::view::ViewError;
use serde_json::json;

use crate::args::{Cli, Command};
use crate::exit::{Exit, OutputError};
use crate::ui::Ui;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return wrong_usage(&error),
    };
    let (json, events) = match &cli.command {
        Command::Check(a) => (a.json, false),
        Command::Lock(a) => (a.json, false),
        Command::Build(a) => (a.json, a.json),
        Command::Verify(a) => (a.json, false),
        Command::Inspect(a) => (a.json, false),
        Command::Generations(a) => (a.json, false),
        Command::Upgrade(a) => (a.json, false),
        Command::Rollback(a) => (a.json, false),
        Command::Gc(a) => (a.json, false),
        Command::Boot(args::BootArgs { action: args::BootAction::Repair(a) }) => (a.json, false),
        Command::Boot(args::BootArgs { action: args::BootAction::Check(a) }) => (a.json, false),
        Command::Diff(a) => (a.json, false),
        _ => (false, false),
    };
    let ui = Ui::new(cli.quiet, json, events);
    let result = match signals::listen() {
        Ok(()) => run(cli.command, &ui),
        Err(e) => Err(anyhow::Error::from(e).context("setting up signal handlers")),
    };
    let exit = match (signals::asked(), &result) {
        // What failed because of the signal is not worth a message, unless it leaves something to be done.
        (Some(asked), Err(error)) if error.chain().any(|cause| cause.is::<AfterWrite>()) => {
            tell(error, asked, ui, events);
            signals::tell(asked);
            asked
        }
        (Some(asked), _) => {
            drop(ui);
            signals::tell(asked);
            asked
        }
        (None, Ok(exit)) => *exit,
        (None, Err(error)) => {
            let exit = exit_of(error);
            if exit != Exit::Done {
                tell(error, exit, ui, events);
            }
            exit
        }
    };
    exit.into()
}

/// Help and version are the parser's own text. What it says of arguments repeats them, and they may be anybody's: names of files.
fn wrong_usage(error: &clap::Error) -> ExitCode {
    if error.use_stderr() {
        ui::say(error.render().to_string().trim_end());
    } else if let Err(error) = error.print()
        && error.kind() != ErrorKind::BrokenPipe
    {
        return Exit::Failed.into();
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(Exit::Usage as u8))
}

fn run(command: Command, ui: &Ui) -> anyhow::Result<Exit> {
    match command {
        Command::Init(args) => commands::init::run(args, ui),
        Command::Check(args) => commands::check::run(args, ui),
        Command::Lock(args) => commands::lock::run(args, ui),
        Command::Build(args) => commands::build::run(args, ui),
        Command::Run(args) => commands::run::run(args, ui),
        Command::Verify(args) => commands::verify::run(args, ui),
        Command::Inspect(args) => commands::inspect::run(args, ui),
        Command::Upgrade(args) => commands::upgrade::run(args, ui),
        Command::Rollback(args) => commands::rollback::run(args, ui),
        Command::Gc(args) => commands::gc::run(args, ui),
        Command::Boot(args) => commands::boot::run(args, ui),
        Command::Generations(args) => commands::generations::run(&args, ui),
        Command::Diff(args) => commands::diff::run(&args, ui),
        Command::Hardware(args) => commands::hardware::run(args, ui),
        Command::Schema(args) => commands::schema::run(args, ui),
        Command::GenerateDocs(args) => docs::write(&args.dir),
    }
}

fn exit_of(error: &anyhow::Error) -> Exit {
    for cause in error.chain() {
        if let Some(OutputError(e)) = cause.downcast_ref() {
            // Whoever reads has read enough: `cairn inspect IMAGE | head` is no failure.
            return if e.kind() == ErrorKind::BrokenPipe { Exit::Done } else { Exit::Failed };
        }
        let busy = matches!(cause.downcast_ref(), Some(QemuError::Busy { .. } | QemuError::PortTaken { .. }))
            || matches!(cause.downcast_ref(), Some(StoreError::InUse { .. } | StoreError::NotRoot { .. }))
            || matches!(cause.downcast_ref(), Some(StoreError::Unusable { .. } | StoreError::NoFolder { .. }));
        let many = matches!(cause.downcast_ref(), Some(ViewError::TooManyGenerations { .. }));
        let taken = cause.downcast_ref::<image_builder::output::OutputError>().is_some_and(|error| error.is_refusal());
        if busy || many || taken || cause.is::<Refusal>() {
            return Exit::Refused;
        }
        if cause.is::<AfterWrite>() {
            return Exit::FailedAfterWrite;
        }
        if cause.is::<Usage>() {
            return Exit::Usage;
        }
    }
    Exit::Failed
}

/// Says once what went wrong: the problems of machine files one per line, anything else with its causes.
fn tell(error: &anyhow::Error, exit: Exit, ui: Ui, events: bool) {
    let all = problems_in(error);
    let (problems, left_out) = Problems::worth_showing(&all);
    if events {
        let fields = json!({ "message": format!("{error:#}"), "problems": problems, "exit": exit as u8 });
        let _ = ui.event("error", fields);
    }
    // The bars must be gone before anything else is on the terminal.
    drop(ui);
    if problems.is_empty() {
        ui::say(&format!("cairn: {error:#}"));
    }
    for problem in problems {
        ui::say(&ui::problem_text(problem));
    }
    if left_out > 0 {
        ui::say(&format!("and {left_out} more problems; mend these first"));
    }
}

/// What the error says about machine files: such an error needs no name of the command and no chain of causes.
fn problems_in(error: &anyhow::Error) -> Vec<Problem> {
    let found = error.chain().find_map(|cause| {
        let one = cause.downcast_ref::<Problem>().map(|p| vec![p.clone()]);
        one.or_else(|| cause.downcast_ref::<Problems>().map(|all| all.iter().cloned().collect()))
    });
    found.unwrap_or_default()
}
