//! Latencies by interval as an HdrHistogram interval log (`.hlog`), which other tools read and merge.

use std::time::Duration;
use std::time::UNIX_EPOCH;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::IntervalLogWriterBuilder;
use hdrhistogram::serialization::interval_log::IntervalLogWriterError;
use hdrhistogram::serialization::interval_log::Tag;

use crate::edge::loadtest::report::GROUPS;
use crate::edge::loadtest::report::Report;
use crate::workload::answers::Group;

/// The largest value of a line is written in milliseconds.
const MAX_DIVISOR: f64 = 1_000_000.0;

impl Report {
    /// The interval log. Each line is tagged `link.group.due` (from when messages were due) or `link.group.sent`;
    /// values are nanoseconds. The warm-up is in it, under tags that begin with `warm-up.`.
    ///
    /// # Errors
    /// What could not be written, in words.
    pub fn to_hlog(&self) -> Result<Vec<u8>, String> {
        let mut log = Vec::new();
        let mut serializer = V2DeflateSerializer::new();
        let began = UNIX_EPOCH + Duration::from_nanos(self.began.0);
        let mut builder = IntervalLogWriterBuilder::new();
        builder.add_comment(
            "[Latencies of a turnpike load test, nanoseconds; largest values are in milliseconds]",
        );
        if let Some(partial) = &self.partial {
            builder.add_comment(&format!("[Partial: {}]", partial.reason));
        }
        builder.with_start_time(began).with_base_time(began).with_max_value_divisor(MAX_DIVISOR);
        let begin = builder.begin_log_with(&mut log, &mut serializer);
        let mut writer = begin.map_err(|error| error.to_string())?;
        for interval in &self.recorded.intervals {
            let start = Duration::from_nanos(interval.start);
            let length = Duration::from_nanos(interval.end - interval.start);
            for cell in 0..interval.cells() {
                let (Some(latencies), Some(link), Some(group)) = (
                    interval.latencies(cell),
                    self.conditions.links.get(cell / Group::COUNT),
                    GROUPS.get(cell % Group::COUNT),
                ) else {
                    continue;
                };
                let warm_up = if interval.warm_up { "warm-up." } else { "" };
                let mut write = |histogram: &Histogram<u64>, from: &str| {
                    let tag = format!("{warm_up}{}.{group}.{from}", link.name);
                    writer.write_histogram(histogram, start, length, Tag::new(&tag)).map_err(|error| {
                        match error {
                            IntervalLogWriterError::IoError(error) => error.to_string(),
                            IntervalLogWriterError::SerializeError(error) => error.to_string(),
                        }
                    })
                };
                write(&latencies.response, "due")?;
                write(&latencies.service, "sent")?;
            }
        }
        Ok(log)
    }
}
