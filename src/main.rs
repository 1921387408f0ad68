//! The command line: `farebox serve | demo | migrate | audit | admin create-owner`.

use clap::Parser;
use farebox::cli::Cli;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // A page of two megabytes is taken whole for its first byte: on small machines that is a third more memory, and no less time.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    farebox::cli::run(Cli::parse())
}
