//! `kjump call`: load or attach, copy in, call, copy out, report.

pub(crate) mod args;
mod deadline;
mod fault;
mod holder;
pub(crate) mod image_file;
pub(crate) mod kept;
pub(crate) mod placing;
mod record;
mod request;
mod runs;
mod text;
mod timing;

use std::time::Instant;

use anyhow::Context;
use sys::Device;

use crate::call::args::CallArgs;
use crate::call::deadline::Deadline;
use crate::device;
use crate::device::suspend_failure::Watch;
use crate::terminal::Terminal;
use crate::terminal::output_file;
use crate::terminal::progress::Progress;
use crate::terminal::report::{self, Outcome};

pub(crate) use fault::FaultReport;
use record::{CallReport, Ending};
use request::{CallRequest, Source};

pub(crate) use record::{ImageFacts, level_name};

pub(crate) fn run(args: CallArgs) -> anyhow::Result<Outcome> {
    let request = CallRequest::resolve(args)?;
    let device = device::open()?;
    if request.no_wait {
        device.set_no_wait()?;
    }
    let image = ready(&request.source, &device)?;
    for input in &request.inputs {
        device.write(input.address, &input.bytes).with_context(|| input.path.display().to_string())?;
    }
    let report = call_repeatedly(&request, &device, image)?;
    for output in &request.outputs {
        output_file::write(&device, output)?;
    }
    if request.json {
        report::print_json(&report.to_json())?;
    } else {
        report::print(&text::of(&report, request.timing, Terminal::of_stdout()))?;
    }
    match report.ending {
        Ending::Returned => Ok(Outcome::Done),
        Ending::Fault(_) => Ok(Outcome::Fault),
        Ending::Deadline(..) => Ok(Outcome::Deadline),
        Ending::Refused(refusal) => {
            Err(refusal).with_context(|| format!("call {} of {}", report.calls + 1, request.repeat))
        }
    }
}

/// Makes the source's image that of the open file.
fn ready(source: &Source, device: &Device) -> anyhow::Result<ImageFacts> {
    match source {
        Source::File(file) => {
            let program = file.program()?;
            let loaded = file.load(&program, device)?;
            Ok(ImageFacts::of_load(&loaded, &program))
        }
        Source::Kept(name) => {
            device.attach(name).with_context(|| name.to_string())?;
            let kept = device.image_named(name)?;
            kept.as_ref()
                .map(ImageFacts::of_list)
                .with_context(|| format!("{name}: was unloaded a moment ago"))
        }
    }
}

/// Calls until all calls are made, the image faults or is stopped, or a call is refused. If the
/// first call is refused, that is an error.
fn call_repeatedly(request: &CallRequest, device: &Device, image: ImageFacts) -> anyhow::Result<CallReport> {
    let info = device.info()?;
    let mut deadline = Deadline::new(request, &image, &info);
    let mut report = CallReport::new(image, info.tsc_khz);
    let progress = Progress::start("calling".into(), request.repeat);
    let watch = Watch::start();
    for _ in 0..request.repeat {
        let start = Instant::now();
        match deadline.call(request, device) {
            Ok(call) => report.add(&call, start.elapsed(), deadline.milliseconds()),
            Err(refusal) if report.calls == 0 => {
                return Err(holder::explain(device, &refusal).unwrap_or_else(|| watch.explain(refusal)));
            }
            Err(refusal) => report.ending = Ending::Refused(refusal),
        }
        if report.ending != Ending::Returned {
            break;
        }
        progress.step();
    }
    Ok(report)
}
