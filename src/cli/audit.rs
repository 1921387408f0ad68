//! `farebox audit`: proves the books of a database, also of one that is being served from.

use super::{Wanted, with_database};
use crate::{accounting, invoices, ledger, plans, usage};
use anyhow::Context;
use std::process::ExitCode;

pub(super) fn run() -> ExitCode {
    with_database(Wanted::Existing, |db| async move {
        // One snapshot of all: what is held against each other is of the same moment.
        let mut snapshot = db.snapshot().await?;
        let report = ledger::audit_in(&mut snapshot).await.context("the books cannot be read (farebox migrate brings a database up to date)")?;
        let by_request = usage::audit(&mut snapshot).await?;
        let of_plans = plans::audit(&mut snapshot).await?;
        let of_figures = accounting::audit(&mut snapshot, &report).await?;
        let of_invoices = invoices::audit(&mut snapshot).await?;
        println!("{} transfers, {} credits, {} holds", report.transfers, report.credits, report.holds);
        println!("owed to customers {}, owed by customers {}", report.deferred.display(), report.receivable.display());
        for (house, balance) in &report.house {
            println!("{house:?} {}", balance.display());
        }
        let findings: Vec<String> =
            report.findings.iter().map(ToString::to_string).chain(by_request).chain(of_plans).chain(of_figures).chain(of_invoices).collect();
        if findings.is_empty() {
            println!("The books are clean.");
            return Ok(ExitCode::SUCCESS);
        }
        findings.iter().for_each(|finding| println!("WRONG {finding}"));
        println!("The books are not clean: {} findings.", findings.len());
        Ok(ExitCode::FAILURE)
    })
}
