//! A load test from beginning to end: money before, sign-on, traffic, settlement, sign-off, money after.

use std::net::SocketAddr;

use crate::edge::exit;
use crate::edge::loadtest::http::HttpError;
use crate::edge::loadtest::plan::Plan;
use crate::edge::loadtest::pump::Driver;
use crate::edge::loadtest::pump::SECOND_NS;
use crate::edge::loadtest::report::Found;
use crate::edge::loadtest::report::Report;
use crate::edge::loadtest::verbs;
use crate::edge::loadtest::verify::Before;
use crate::workload::acquirer::Acquirer;
use crate::workload::template::TemplateError;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A target does not listen.
    #[error("{dialect} at {address} cannot be reached: {error}")]
    Target {
        /// Its dialect.
        dialect: String,
        /// Where it should listen.
        address: SocketAddr,
        /// Why not.
        error: std::io::Error,
    },
    /// A target does not answer the sign-on.
    #[error("{address} does not answer a sign-on (0800); is it of another dialect, or does it hang?")]
    SignOn {
        /// Where it listens.
        address: SocketAddr,
    },
    /// The HTTP face.
    #[error("the HTTP face at {address}: {error}")]
    Http {
        /// Where it should listen.
        address: SocketAddr,
        /// Why not.
        error: HttpError,
    },
    /// The dialect cannot carry the traffic.
    #[error("{0}")]
    Template(#[from] TemplateError),
    /// A histogram.
    #[error("latencies cannot be counted: {0}")]
    Histogram(#[from] hdrhistogram::CreationError),
    /// A prepared run needs an end.
    #[error("a prepared run needs a number of messages, or a rate")]
    Unbounded,
    /// What follows an answer cannot be made before it.
    #[error("messages of life cycles follow answers and cannot be prepared; name a --mix without them")]
    Lives,
}

impl LoadError {
    /// The exit code of a run that ends with it.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Unbounded | Self::Lives | Self::Template(_) => exit::USAGE,
            _ => exit::UNAVAILABLE,
        }
    }
}

/// Drives a load test to its report.
///
/// # Errors
/// It cannot begin, or the daemon is gone when the money is to be compared.
pub async fn drive(plan: Plan) -> Result<Report, LoadError> {
    drive_keeping(plan).await.map(|(report, _)| report)
}

/// Drives a load test and keeps its exchanges and books, for tests that ask further.
///
/// # Errors
/// As for [`drive`].
pub async fn drive_keeping(mut plan: Plan) -> Result<(Report, Acquirer), LoadError> {
    if plan.echo {
        plan.traffic.echo = true;
        (plan.settle, plan.http) = (false, None);
    }
    let population = std::mem::take(&mut plan.population);
    let http_error =
        |error| LoadError::Http { address: plan.http.unwrap_or(([0, 0, 0, 0], 0).into()), error };
    let verbs = match plan.verbs.zip(plan.http) {
        Some((settings, address)) => {
            let prepared = verbs::Prepared::new(address, settings, super::now()).await;
            Some(prepared.map_err(http_error)?)
        }
        None => None,
    };
    let before = match plan.http {
        Some(address) => {
            let seed = plan.traffic.seed;
            let read = Before::read(address, &population, plan.verify_wallets, seed).await;
            Some(read.map_err(http_error)?)
        }
        None => None,
    };
    let mut driver = Driver::connect(&plan, population).await?;
    driver.sign_on().await?;
    driver.fill().await;
    driver.prepare();
    if plan.fill || plan.prepare {
        eprintln!("turnpike load: ready; the time begins");
    }
    let verbs = verbs.map(verbs::Prepared::begin);
    let (began, recorded) = driver.send_all().await?;
    let asked_for_verbs = verbs.is_some();
    let verbs = verbs.and_then(verbs::Running::end);
    // What is settled and signed off afterwards is no measurement.
    let late_answers = driver.acquirer.late_answers();
    let settled = if plan.settle { driver.settle().await } else { 0 };
    driver.await_quiet().await;
    if plan.settle {
        driver.sign_off().await;
    }
    let Driver { acquirer, stop, .. } = driver;
    // Of a run that ended early the money is compared where that can still be done.
    let comparison = match before {
        Some(before) => {
            match before.compare(&acquirer, verbs.as_ref().map_or(0, |verbs| verbs.moved)).await {
                Ok(comparison) => Some(comparison),
                Err(_) if stop.is_some() => None,
                Err(error) => return Err(http_error(error)),
            }
        }
        None => None,
    };
    let verbs_lost = asked_for_verbs && verbs.is_none();
    let found = Found { began, recorded, settled, late_answers, comparison, stop, verbs, verbs_lost };
    Ok((Report::new(&plan, &acquirer, found), acquirer))
}

/// Sends the repeats (0101, 0201, 0401, 0421) of exchanges of an earlier run with the same plan, as a network does
/// after an outage. What their answers say stands in the books' mistakes.
///
/// # Errors
/// A target cannot be reached.
pub async fn repeat(plan: &Plan, acquirer: Acquirer, numbers: &[u32]) -> Result<Acquirer, LoadError> {
    let mut driver = Driver::with(plan, acquirer).await?;
    driver.sign_on().await?;
    let now = driver.now();
    for number in numbers {
        let mut frame = Vec::new();
        let Some((stream, repeat)) = driver.acquirer.compose_repeat(*number, &mut frame) else { continue };
        let connection = &mut driver.connections[stream];
        connection.output.extend_from_slice(&frame);
        connection.waiting.push_back(repeat);
        connection.in_flight += 1;
        driver.acquirer.sent(repeat, now, now);
    }
    let timeout = plan.timeout.as_nanos() as u64;
    driver.pump(false, now.saturating_add(timeout).saturating_add(SECOND_NS)).await;
    Ok(driver.acquirer)
}
