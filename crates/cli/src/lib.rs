//! The `cairn` command: arguments in, exit code out. What it does is in the libraries; how it talks is here.

mod args;
mod cache;
mod commands;
mod docs;
mod exit;
mod failure;
mod fit;
mod kit;
mod pace;
mod progress;
mod screen;
mod signals;
mod table;
mod terminal;
mod ui;
mod watched;
mod words;

use std::io::ErrorKind;
use std::process::ExitCode;

use cairn_machine::Problems;
use cairn_process::AfterWrite;
use clap::Parser;
use serde_json::json;

use crate::args::{Cli, Command, Output};
use crate::exit::{Exit, Told, exit_of, problems_in};
use crate::ui::Ui;

/// Runs the command with the process's arguments.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return wrong_usage(&error),
    };
    let Output { json, events, plain } = cli.command.output();
    let ui = Ui::new(cli.quiet, json, events, plain || terminal::kernel_says(terminal::PLAIN));
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
        terminal::say(error.render().to_string().trim_end());
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
        Command::Capture(args) => commands::capture::run(&args, ui),
        Command::Diff(args) => commands::diff::run(&args, ui),
        Command::Hardware(args) => commands::hardware::run(&args, ui),
        Command::Disks(args) => commands::disks::run(&args, ui),
        Command::Install(args) => commands::install::run(args, ui),
        Command::Rehearse(args) => commands::rehearse::run(args, ui),
        Command::Medium(args) => commands::medium::run(args, ui),
        Command::Schema(args) => commands::schema::run(args, ui),
        Command::GenerateDocs(args) => docs::write(&args.dir),
    }
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
    match error.downcast_ref::<Told>() {
        Some(Told(page)) => terminal::say(page),
        None if problems.is_empty() => terminal::say(&format!("cairn: {error:#}")),
        None => {}
    }
    for problem in problems {
        terminal::say(&terminal::problem_text(problem));
    }
    if left_out > 0 {
        terminal::say(&format!("and {left_out} more problems; mend these first"));
    }
}
