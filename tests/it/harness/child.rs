//! The program itself in a process of its own, which a test may kill.

use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use tokio::sync::oneshot;

/// The settings of a child: every one that it has.
pub type Settings<'a> = &'a [(&'a str, &'a str)];

/// `farebox` with these settings and no others, in `folder`, where no `.env` lies.
pub fn farebox(arguments: &[&str], folder: &Path, settings: Settings<'_>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_farebox"));
    command.args(arguments).current_dir(folder).env_clear().envs(settings.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// A running `farebox serve`. Dropped, it is killed.
pub struct Serving {
    child: Option<Child>,
    /// Where it serves.
    pub url: String,
}

impl Serving {
    /// Starts it on a free port and waits until it serves.
    pub async fn start(folder: &Path, settings: Settings<'_>) -> Self {
        let mut child = farebox(&["serve", "--listen", "127.0.0.1:0"], folder, settings).spawn().expect("the program starts");
        let log = child.stderr.take().expect("its log is piped");
        let (tell, told) = oneshot::channel();
        // Reads to the end, so that the child never waits for a reader.
        std::thread::spawn(move || {
            let (mut tell, mut lines) = (Some(tell), Vec::new());
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                let address = line.split_once("serving http://").map(|(_, rest)| rest.split_whitespace().next().unwrap_or_default().to_owned());
                match address.filter(|_| tell.is_some()) {
                    Some(address) => drop(tell.take().map(|tell| tell.send(Ok(address)))),
                    None => lines.push(line),
                }
            }
            drop(tell.map(|tell| tell.send(Err(lines.join("\n")))));
        });
        let address = told.await.expect("the log has an end").unwrap_or_else(|log| panic!("the program ended before it served:\n{log}"));
        Self { child: Some(child), url: format!("http://{}", address.trim_end_matches('/')) }
    }

    /// Waits until it has ended by itself.
    pub async fn ended(mut self) -> ExitStatus {
        let mut child = self.child.take().expect("it was started");
        tokio::task::spawn_blocking(move || child.wait()).await.expect("the thread ends").expect("the child can be waited for")
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it was started");
        kill_process(Pid::from_child(child), signal).expect("the child takes signals");
    }

    /// Kills it as the system would, in the middle of whatever it does.
    pub async fn kill(self) {
        self.signal(Signal::KILL);
        assert_eq!(self.ended().await.signal(), Some(9));
    }

    /// Asks it to stop, as a service manager does.
    pub async fn stop(self) {
        self.signal(Signal::TERM);
        let status = self.ended().await;
        assert!(status.success(), "{status}");
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
