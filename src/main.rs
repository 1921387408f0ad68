//! The command line: `farebox serve | demo | migrate | audit | admin create-owner`.

use clap::Parser;
use farebox::cli::Cli;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    #[cfg(unix)]
    give_memory_back_soon();
    // A page of two megabytes is taken whole for its first byte: on small machines that is a third more memory, and no less time.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    farebox::cli::run(Cli::parse())
}

/// The allocator keeps what is freed for a second, and looks at it again when somebody asks for much: the 19 MiB of a password hash would stay for hours. How long it waits it
/// reads from the environment, before `main` begins; so the program begins anew with that setting, as the same process. Whoever has set it is not overruled.
#[cfg(unix)]
fn give_memory_back_soon() {
    use std::os::unix::process::CommandExt;
    const DELAY_MS: (&str, &str) = ("MIMALLOC_PURGE_DELAY", "100");
    let mut arguments = std::env::args_os();
    let (Some(name), Ok(program), None) = (arguments.next(), std::env::current_exe(), std::env::var_os(DELAY_MS.0)) else { return };
    // Where it cannot begin anew it goes on as it is.
    let _ = std::process::Command::new(program).arg0(name).args(arguments).env(DELAY_MS.0, DELAY_MS.1).exec();
}
