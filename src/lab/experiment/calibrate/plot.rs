//! A calibration as a picture: what each meter said over what the guest wrote. On the diagonal it was right.

use super::reading::{Meter, Moment, PAGES_PER_MIB};
use super::{Calibration, tables::points};
use crate::lab::figure::short;
use std::fmt::Write as _;

/// The picture's width and height, and what is left around the square of the plot.
const SIZE: f64 = 560.0;
const MARGIN: f64 = 60.0;
/// How many lines of the grid there are.
const TICKS: u32 = 4;
/// What meters are drawn with, in the order of [`Meter::ALL`].
const COLOURS: [&str; 4] = ["#1b6ca8", "#b3541e", "#6a4c93", "#2a7f3f"];

/// The picture, as SVG that needs nothing else.
pub fn svg(found: &Calibration) -> String {
    let mib = |pages: f64| pages / PAGES_PER_MIB;
    let all: Vec<(Meter, Moment, f64, f64)> = points(found)
        .map(|(reading, guest, said)| (reading.meter, reading.moment, mib(guest), mib(said)))
        .collect();
    let most = all.iter().map(|(.., guest, said)| guest.max(*said)).fold(1.0, f64::max) * 1.05;
    let plot = Square { most };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {SIZE} {SIZE}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <title>QEMU's dirty-rate meters against the guest's count</title>\n\
         <rect width=\"{SIZE}\" height=\"{SIZE}\" fill=\"#fff\"/>\n"
    );
    plot.grid(&mut svg);
    for (meter, moment, guest, said) in &all {
        plot.mark(&mut svg, (*meter, *moment), (plot.x(*guest), plot.y(*said)));
    }
    legend(&mut svg, &all.iter().map(|(meter, moment, ..)| (*meter, *moment)).collect::<Vec<_>>(), &plot);
    svg + "</svg>\n"
}

/// The square between both axes, each from 0 to `most` MiB/s.
struct Square {
    most: f64,
}

impl Square {
    fn x(&self, mib: f64) -> f64 {
        MARGIN + mib / self.most * (SIZE - 2.0 * MARGIN)
    }

    fn y(&self, mib: f64) -> f64 {
        SIZE - self.x(mib)
    }

    fn grid(&self, svg: &mut String) {
        let (low, high) = (MARGIN, SIZE - MARGIN);
        for tick in 0..=TICKS {
            let mib = self.most * f64::from(tick) / f64::from(TICKS);
            let (x, y, label) = (self.x(mib), self.y(mib), if tick == 0 { "0".into() } else { short(mib) });
            let _ = write!(
                svg,
                "<path d=\"M{low} {y:.1}H{high}M{x:.1} {low}V{high}\" stroke=\"#ddd\"/>\n\
                 <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>\n\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>\n",
                high + 18.0,
                low - 6.0,
                y + 4.0
            );
        }
        let _ = write!(
            svg,
            "<path d=\"M{low} {high}L{high} {low}\" stroke=\"#888\" stroke-dasharray=\"4 4\"/>\n\
             <text x=\"{}\" y=\"{}\" text-anchor=\"middle\">different pages that the guest wrote, MiB/s</text>\n\
             <text transform=\"rotate(-90)\" x=\"{}\" y=\"14\" text-anchor=\"middle\">what the meter said, MiB/s</text>\n",
            SIZE / 2.0,
            SIZE - 16.0,
            -SIZE / 2.0
        );
    }

    /// A dot for what was measured before a migration, a ring for what was during one.
    #[expect(clippy::unused_self, reason = "a mark belongs to its square")]
    fn mark(&self, svg: &mut String, (meter, moment): (Meter, Moment), (x, y): (f64, f64)) {
        let colour =
            Meter::ALL.iter().zip(COLOURS).find(|(known, _)| **known == meter).map_or("", |(_, own)| own);
        let fill = if moment == Moment::Before { colour } else { "none" };
        let _ = writeln!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{fill}\" stroke=\"{colour}\" stroke-width=\"1.5\"/>"
        );
    }
}

/// Names each kind of mark that there is.
fn legend(svg: &mut String, kinds: &[(Meter, Moment)], plot: &Square) {
    let mut kinds = kinds.to_vec();
    kinds.sort_unstable();
    kinds.dedup();
    for (kind, place) in kinds.into_iter().zip(1u32..) {
        let y = MARGIN + 18.0 * f64::from(place);
        plot.mark(svg, kind, (MARGIN + 14.0, y - 4.0));
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{y}\">{}, {} a migration</text>",
            MARGIN + 24.0,
            kind.0.name(),
            kind.1.name()
        );
    }
}
