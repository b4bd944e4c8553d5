//! Parts of a report: tables of scores and gains, curves over missing rates, classes, calibration.

use super::contender::Contender;
use super::error::ExperimentError;
use super::mix::Mix;
use super::statistics::Summary;
use super::study::Study;
use crate::data::missing::Share;
use crate::report::html::{Figure, Section};
use crate::report::plot::{Bars, Lines, Point, Series};
use crate::report::table::{Cell, Table};

/// Steps of a curve over a missing rate.
const STEPS: usize = 10;

/// One row of a table: how runs were trained, and how they are tested.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// What the training had.
    pub train: Mix,
    /// What the test has.
    pub test: Mix,
}

/// Scores and gains under each of `conditions`.
pub fn comparison(study: &Study, conditions: &[Condition]) -> Result<Section, ExperimentError> {
    let mut tables = vec![scores(study, conditions)?];
    tables.extend(gains(study, conditions)?);
    let words = vec![
        "Mean and standard deviation over seeds. The best mean of a row is bold. A gain is taken seed by seed \
         between runs that saw the same samples in the same order with the same of them missing."
            .into(),
    ];
    Ok(Section { heading: "Scores".into(), words, tables, ..Section::default() })
}

fn scores(study: &Study, conditions: &[Condition]) -> Result<Table, ExperimentError> {
    let mut rows = Vec::new();
    for Condition { train, test } in conditions {
        let summaries: Vec<Summary> = study
            .contenders()
            .iter()
            .map(|contender| study.summary(contender, train, test))
            .collect::<Result<_, _>>()?;
        let best = summaries.iter().map(|summary| summary.mean).fold(f64::MIN, f64::max);
        let mut row = vec![Cell::from(train.words()), Cell::from(test.words())];
        row.extend(summaries.iter().map(|summary| summary.cell(summary.mean == best)));
        rows.push(row);
    }
    let columns = ["training", "test"].map(String::from).into_iter();
    Ok(Table {
        name: "scores".into(),
        caption: format!("{} of {} test samples", study.metric(), study.samples()),
        columns: columns.chain(study.contenders().iter().map(ToString::to_string)).collect(),
        rows,
    })
}

/// What each contender with proxies is ahead of each without; none where there is only one kind.
fn gains(study: &Study, conditions: &[Condition]) -> Result<Option<Table>, ExperimentError> {
    let pairs = pairs(study);
    if pairs.is_empty() {
        return Ok(None);
    }
    let mut rows = Vec::new();
    for Condition { train, test } in conditions {
        let mut row = vec![Cell::from(train.words()), Cell::from(test.words())];
        for pair in &pairs {
            row.push(study.gain(*pair, train, test)?.cell(false));
        }
        rows.push(row);
    }
    let columns = ["training", "test"].map(String::from).into_iter();
    Ok(Some(Table {
        name: "gains".into(),
        caption: "gain in points, seed by seed".into(),
        columns: columns.chain(pairs.iter().map(|[one, other]| format!("{one} over {other}"))).collect(),
        rows,
    }))
}

fn pairs(study: &Study) -> Vec<[&Contender; 2]> {
    let (with, without): (Vec<_>, Vec<_>) =
        study.contenders().iter().partition(|contender| contender.has_proxies());
    with.into_iter().flat_map(|one| without.iter().map(move |other| [one, *other])).collect()
}

/// Curves over the rate at which one modality is missing in the test, the others always there.
pub fn missing_rates(study: &Study, train: &Mix, modality: usize) -> Result<Section, ExperimentError> {
    let name = &study.modalities()[modality].name;
    let steps: Vec<(f64, Mix)> = (0..=STEPS)
        .map(|step| {
            let missing = step as f64 / STEPS as f64;
            let share = Share::try_from(1.0 - missing).expect("a rate lies between 0 and 1");
            (100.0 * missing, Mix::complete(study.modalities()).with(modality, share))
        })
        .collect();
    let mut series = Vec::new();
    let mut rows: Vec<Vec<Cell>> = steps.iter().map(|(rate, _)| vec![Cell::Number(*rate)]).collect();
    for contender in study.contenders() {
        let mut points = Vec::new();
        for ((rate, test), row) in steps.iter().zip(&mut rows) {
            let summary = study.summary(contender, train, test)?;
            row.push(summary.cell(false));
            points.push(Point { x: *rate, y: summary.mean, deviation: summary.deviation.unwrap_or(0.0) });
        }
        series.push(Series { name: contender.to_string(), points });
    }
    let plot = Lines { x: format!("{name} missing (%)"), y: study.metric().into(), diagonal: false, series };
    let table = Table {
        name: format!("rates-{name}"),
        caption: format!("{} by how much {name} is missing (%)", study.metric()),
        columns: std::iter::once(format!("{name} missing (%)"))
            .chain(study.contenders().iter().map(ToString::to_string))
            .collect(),
        rows,
    };
    Ok(Section {
        heading: format!("{name} missing in the test"),
        words: vec![format!("Training: {}.", train.words())],
        figures: vec![Figure {
            caption: format!("{} against missing rate, with standard deviation over seeds", study.metric()),
            svg: plot.svg(),
        }],
        tables: vec![table],
    })
}

/// What proxies bring to each class where one modality is missing altogether.
pub fn class_gains(study: &Study, train: &Mix, modality: usize) -> Result<Section, ExperimentError> {
    let name = &study.modalities()[modality].name;
    let test = without(study, modality);
    let heading = format!("Gain of each class without {name}");
    let Some([with, without]) = pairs(study).last().copied() else {
        let words = vec!["There is nothing to compare: name a method with proxies and one without.".into()];
        return Ok(Section { heading, words, ..Section::default() });
    };
    let (ours, theirs) = (study.scores(with, train, &test)?, study.scores(without, train, &test)?);
    let gain = |class: usize| {
        let gains =
            ours.iter().zip(&theirs).map(|(our, their)| our.per_class[class] - their.per_class[class]);
        Summary::of(&gains.collect::<Vec<_>>())
    };
    let mut gains: Vec<(&String, Summary)> =
        study.labels().iter().enumerate().map(|(class, label)| (label, gain(class))).collect();
    gains.sort_by(|a, b| b.1.mean.total_cmp(&a.1.mean));
    let plot = Bars {
        x: "gain (points)".into(),
        categories: gains.iter().map(|(label, _)| (*label).clone()).collect(),
        series: vec![(format!("{with} over {without}"), gains.iter().map(|(_, gain)| gain.mean).collect())],
    };
    let rows = gains.iter().map(|(label, gain)| vec![Cell::from((*label).clone()), gain.cell(false)]);
    Ok(Section {
        heading,
        words: vec![format!("Training: {}; test: {}.", train.words(), test.words())],
        figures: vec![Figure { caption: "classes by gain".into(), svg: plot.svg() }],
        tables: vec![Table {
            name: format!("classes-without-{name}"),
            caption: format!("gain of {with} over {without} in points"),
            columns: vec!["class".into(), "gain".into()],
            rows: rows.collect(),
        }],
    })
}

/// How each class fares under each availability pattern: what depends on which modality.
pub fn dependence(study: &Study, train: &Mix) -> Result<Section, ExperimentError> {
    let proxied = study.contenders().iter().rev().find(|contender| contender.has_proxies());
    let contender = proxied.unwrap_or(&study.contenders()[0]);
    let mut tests = vec![("everything there".to_owned(), Mix::complete(study.modalities()))];
    for (modality, info) in study.modalities().iter().enumerate() {
        tests.push((format!("without {}", info.name), without(study, modality)));
    }
    let mut series = Vec::new();
    let mut rows: Vec<Vec<Cell>> =
        study.labels().iter().map(|label| vec![Cell::from(label.clone())]).collect();
    for (name, test) in &tests {
        let scores = study.scores(contender, train, test)?;
        let of_class = |class: usize| {
            Summary::of(&scores.iter().map(|score| score.per_class[class]).collect::<Vec<_>>())
        };
        let values: Vec<Summary> = (0..study.labels().len()).map(of_class).collect();
        rows.iter_mut().zip(&values).for_each(|(row, value)| row.push(value.cell(false)));
        series.push((name.clone(), values.iter().map(|value| value.mean).collect()));
    }
    let plot = Bars { x: study.metric().into(), categories: study.labels().to_vec(), series };
    Ok(Section {
        heading: "Modality dependence".into(),
        words: vec![format!("{contender}; training: {}.", train.words())],
        figures: vec![Figure { caption: "each class under each pattern".into(), svg: plot.svg() }],
        tables: vec![Table {
            name: "dependence".into(),
            caption: format!("{} of each class under each pattern", study.metric()),
            columns: std::iter::once("class".into()).chain(tests.into_iter().map(|(name, _)| name)).collect(),
            rows,
        }],
    })
}

/// How far scores are from how often they are right, under each of `conditions`.
pub fn calibration(study: &Study, conditions: &[Condition]) -> Result<Section, ExperimentError> {
    let mut rows = Vec::new();
    for Condition { train, test } in conditions {
        let mut row = vec![Cell::from(train.words()), Cell::from(test.words())];
        for contender in study.contenders() {
            let scores = study.scores(contender, train, test)?;
            let errors: Vec<f64> = scores.iter().map(|score| score.calibration_error).collect();
            row.push(Summary::of(&errors).cell(false));
        }
        rows.push(row);
    }
    let columns = ["training", "test"].map(String::from).into_iter();
    let table = Table {
        name: "calibration".into(),
        caption: "expected calibration error (%)".into(),
        columns: columns.chain(study.contenders().iter().map(ToString::to_string)).collect(),
        rows,
    };
    let mut figures = Vec::new();
    let last = study.contenders().last().filter(|_| study.is_multiclass());
    if let Some(contender) = last {
        let mut series = Vec::new();
        // More lines than these are not told apart.
        for Condition { train, test } in conditions.iter().take(4) {
            let bins = study.reliability(contender, train, test)?;
            let points = bins.iter().map(|bin| Point { x: bin.confidence, y: bin.right, deviation: 0.0 });
            let name = format!("training: {}; test: {}", train.words(), test.words());
            series.push(Series { name, points: points.collect() });
        }
        let plot = Lines { x: "score (%)".into(), y: "right (%)".into(), diagonal: true, series };
        figures.push(Figure { caption: format!("reliability of {contender}, first seed"), svg: plot.svg() });
    }
    Ok(Section {
        heading: "Calibration".into(),
        words: vec!["Scores after the temperature that fits each pattern on validation data.".into()],
        figures,
        tables: vec![table],
    })
}

/// A test in which one modality is missing altogether.
pub fn without(study: &Study, modality: usize) -> Mix {
    let none = Share::try_from(0.0).expect("nothing is a share");
    Mix::complete(study.modalities()).with(modality, none)
}
