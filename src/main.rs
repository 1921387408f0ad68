//! The command line: `farebox serve | demo | migrate | audit | admin create-owner`.

use clap::Parser;
use farebox::cli::Cli;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    farebox::cli::run(Cli::parse())
}
