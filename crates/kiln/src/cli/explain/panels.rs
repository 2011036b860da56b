//! The levels of a detector side by side over one image, each with the cells that learn an object.

use std::collections::BTreeSet;

use embedded_graphics::mono_font::{MonoFont, iso_8859_1::FONT_9X15};
use embedded_graphics::pixelcolor::{Rgb888, RgbColor};
use embedded_graphics::prelude::{Point, Primitive, Size};
use embedded_graphics::primitives::{PrimitiveStyle, Rectangle};
use image::{RgbImage, imageops};
use kiln_core::{BoundingBox, Level};
use kiln_data::{Canvas, INK, PAPER, boxed, class_colour, mix};
use kiln_tasks::Place;

/// The longer side of a panel, in pixels.
const PANEL: u32 = 576;
const GAP: i32 = 20;
/// From a line of text to the next.
const LINE: i32 = 22;
const FONT: MonoFont<'_> = FONT_9X15;
/// So much of the image gives way to white, so that colours are seen on it.
const PALE: f32 = 0.45;
/// So much of a cell is its object's colour; so much of a line of the grid is grey.
const FILLED: f32 = 0.6;
const RULED: f32 = 0.3;

/// A level as it is drawn.
pub struct Grid {
    /// Side of a cell, in pixels of the network's input.
    pub stride: usize,
    /// Rows and columns.
    pub cells: [usize; 2],
    /// Width and height of its anchors, in pixels.
    pub anchors: Vec<[f32; 2]>,
}

impl Grid {
    /// Of a network's level.
    pub fn of(level: &Level) -> Self {
        Self { stride: level.stride, cells: level.grid(), anchors: level.anchors.clone() }
    }
}

/// An object and what learns it.
pub struct Shown {
    /// Its class.
    pub name: String,
    /// In pixels of the network's input.
    pub bounding_box: BoundingBox,
    /// The predictions that learn it.
    pub places: Vec<Place>,
}

impl Shown {
    /// How many predictions of each level learn it.
    pub fn counts(&self, levels: usize) -> impl Iterator<Item = usize> {
        (0..levels).map(|level| self.places.iter().filter(|place| place.level == level).count())
    }
}

/// All that is drawn.
pub struct Panels {
    /// The first line.
    pub title: String,
    /// What the network sees.
    pub image: RgbImage,
    /// The levels, the finest first.
    pub grids: Vec<Grid>,
    /// The objects, each in a colour of its own.
    pub objects: Vec<Shown>,
}

impl Panels {
    /// The picture: a panel a level, its counts under it, and the objects under all.
    pub fn draw(&self) -> RgbImage {
        let (width, height) = self.image.dimensions();
        let scale = PANEL as f32 / width.max(height) as f32;
        let [panel_width, panel_height] = [width, height].map(|side| (side as f32 * scale).round() as i32);
        let columns = self.grids.len().max(1) as i32;
        // A single panel leaves room beside it for the words.
        let full = (GAP + columns * (panel_width + GAP)).max(1000);
        let lists = ((full - GAP) / 480).max(1);
        let rows = (self.objects.len() as i32 + lists - 1) / lists;
        let below = GAP + LINE + panel_height + 8;
        let mut canvas = Canvas::new(full, below + 4 * LINE + GAP + rows * LINE + GAP, PAPER);
        line(&mut canvas, &self.title, GAP, GAP / 2, full - 2 * GAP);
        for (level, grid) in self.grids.iter().enumerate() {
            let left = GAP + level as i32 * (panel_width + GAP);
            let panel = self.panel(level, grid, scale);
            imageops::replace(&mut canvas.0, &panel, left.into(), (GAP + LINE).into());
            for (number, text) in self.captions(level, grid).iter().enumerate() {
                line(&mut canvas, text, left, below + number as i32 * LINE, panel_width);
            }
        }
        let list = (full - GAP) / lists;
        if rows > 0 {
            let head = "objects, and how many predictions of each level learn them";
            line(&mut canvas, head, GAP, below + 3 * LINE + GAP / 2, full - 2 * GAP);
        }
        for (number, object) in self.objects.iter().enumerate() {
            let (row, column) = (number as i32 % rows, number as i32 / rows);
            let (left, top) = (GAP + column * list, below + 4 * LINE + GAP + row * LINE);
            let swatch = Rectangle::new(Point::new(left, top + 2), Size::new(14, 12));
            canvas.add(swatch.into_styled(PrimitiveStyle::with_fill(class_colour(number))));
            let [_, _, width, height] = object.bounding_box.xywh();
            let counts: Vec<String> =
                object.counts(self.grids.len()).map(|count| count.to_string()).collect();
            let text =
                format!("{} {} {width:.0}x{height:.0}: {}", number + 1, object.name, counts.join(" + "));
            line(&mut canvas, &text, left + 22, top, list - 40);
        }
        canvas.0
    }

    fn captions(&self, level: usize, grid: &Grid) -> [String; 3] {
        let [rows, columns] = grid.cells;
        let sizes: Vec<String> = grid.anchors.iter().map(|[w, h]| format!("{w:.0}x{h:.0}")).collect();
        let anchors =
            if sizes.is_empty() { "no anchors".into() } else { format!("anchors {}", sizes.join(", ")) };
        let places =
            || self.objects.iter().flat_map(|object| &object.places).filter(|place| place.level == level);
        let learners: BTreeSet<_> = places().map(|place| (place.anchor, place.row, place.column)).collect();
        let learned =
            self.objects.iter().filter(|object| object.places.iter().any(|place| place.level == level));
        [
            format!("stride {}, {columns} x {rows} cells", grid.stride),
            anchors,
            format!("predictions that learn: {}, objects: {}", learners.len(), learned.count()),
        ]
    }

    fn panel(&self, level: usize, grid: &Grid, scale: f32) -> RgbImage {
        let (width, height) = self.image.dimensions();
        let [width, height] = [width, height].map(|side| ((side as f32 * scale).round() as u32).max(1));
        let mut image = imageops::resize(&self.image, width, height, imageops::FilterType::Triangle);
        image.pixels_mut().for_each(|pixel| mix(pixel, [255; 3], PALE));
        let edge = |cell: usize| (cell as f32 * grid.stride as f32 * scale).round() as u32;
        let [rows, columns] = grid.cells;
        for column in 0..=columns {
            fill(&mut image, [edge(column), 0, edge(column) + 1, height], INK, RULED);
        }
        for row in 0..=rows {
            fill(&mut image, [0, edge(row), width, edge(row) + 1], INK, RULED);
        }
        let mut canvas = Canvas(image);
        for (number, object) in self.objects.iter().enumerate() {
            let here = || object.places.iter().filter(|place| place.level == level);
            // Several anchors of a cell colour it once.
            let cells: BTreeSet<[usize; 2]> = here().map(|place| [place.row, place.column]).collect();
            for [row, column] in cells {
                let edges = [edge(column), edge(row), edge(column + 1), edge(row + 1)];
                fill(&mut canvas.0, edges, class_colour(number), FILLED);
            }
        }
        for (number, object) in self.objects.iter().enumerate() {
            let mut drawn = BTreeSet::new();
            for place in object.places.iter().filter(|place| place.level == level) {
                // Neighbouring cells have the same anchors: they are drawn around the first.
                if let Some([wide, high]) = grid.anchors.get(place.anchor)
                    && drawn.insert(place.anchor)
                {
                    let middle = [place.column, place.row].map(|at| (at as f32 + 0.5) * grid.stride as f32);
                    let edges = BoundingBox::from_cxcywh([middle[0], middle[1], *wide, *high]);
                    let [x1, y1, x2, y2] = edges.xyxy().map(|at| (at * scale).round() as i32);
                    let outline = Rectangle::with_corners(Point::new(x1, y1), Point::new(x2, y2));
                    canvas.add(outline.into_styled(PrimitiveStyle::with_stroke(class_colour(number), 1)));
                }
            }
        }
        let tag = |(number, object): (usize, &Shown)| {
            ((number + 1).to_string(), number, object.bounding_box.scaled([scale; 2]))
        };
        boxed(&canvas.0, &self.objects.iter().enumerate().map(tag).collect::<Vec<_>>())
    }
}

/// As much of a line as there is room for.
fn line(canvas: &mut Canvas, text: &str, left: i32, top: i32, width: i32) {
    let fits = (width / FONT.character_size.width as i32).max(0) as usize;
    let shown: String = text.chars().take(fits).collect();
    canvas.write_in(&shown, &FONT, left, top, INK);
}

/// Mixes so much of a colour into the pixels between left, upper, right and lower edges.
fn fill(image: &mut RgbImage, [x1, y1, x2, y2]: [u32; 4], colour: Rgb888, share: f32) {
    let (width, height) = image.dimensions();
    let colour = [colour.r(), colour.g(), colour.b()];
    for y in y1.min(height)..y2.min(height) {
        for x in x1.min(width)..x2.min(width) {
            mix(image.get_pixel_mut(x, y), colour, share);
        }
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn a_cell_has_the_colour_of_the_object_that_it_learns() {
        // 64 pixels are 576: a cell of 16 is 144 wide. The object's box is elsewhere.
        let place = Place { level: 0, anchor: 0, row: 2, column: 1 };
        let shown = Shown {
            name: "cat".into(),
            bounding_box: BoundingBox::from_xyxy([40.0, 2.0, 60.0, 12.0]),
            places: vec![place, Place { level: 1, row: 0, column: 0, ..place }],
        };
        let grid = |stride: usize| Grid { stride, cells: [64 / stride; 2], anchors: vec![] };
        let image = RgbImage::from_pixel(64, 64, Rgb([0; 3]));
        let panels =
            Panels { title: "a".into(), image, grids: vec![grid(16), grid(32)], objects: vec![shown] };
        let drawn = panels.draw();
        // The image is dark and pale: 0.45 of white is 115; then 0.6 of the object's colour.
        let colour = class_colour(0);
        let mixed = [colour.r(), colour.g(), colour.b()]
            .map(|new| (115.0 + 0.6 * (f32::from(new) - 115.0)).round() as u8);
        let at = |panel: u32, x: u32, y: u32| drawn.get_pixel(20 + panel * 596 + x, 42 + y).0;
        assert_eq!([at(0, 216, 360), at(0, 216, 216), at(0, 72, 360)], [mixed, [115; 3], [115; 3]]);
        assert_eq!([at(1, 100, 100), at(1, 400, 400)], [mixed, [115; 3]]);
        assert_eq!(panels.captions(0, &panels.grids[0])[2], "predictions that learn: 1, objects: 1");
    }
}
