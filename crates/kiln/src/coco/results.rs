//! What a detector found, as COCO's list of results.

use std::path::Path;

use kiln_core::Detection;
use serde_json::{Value, json};

/// The categories of COCO that none of its 80 classes is.
const GAPS: [u64; 10] = [12, 26, 29, 30, 45, 66, 68, 69, 71, 83];

/// COCO's list of results: a JSON array of `image_id`, `category_id`, `bbox` (left, top, width, height) and `score`.
///
/// An image's id is the number in its file's name, as COCO has it (`000000000139.jpg` is 139); of files that are named otherwise
/// their place, counted from 1. A category is the class's place counted from 1, but of COCO's 80 classes the number that COCO
/// gives it.
pub fn results<'a>(
    images: impl Iterator<Item = (String, usize, &'a [Detection])>,
    classes: &[String],
) -> String {
    let mut all: Vec<Value> = Vec::new();
    for (origin, index, detections) in images {
        let image = image_id(&origin, index);
        all.extend(detections.iter().map(|one| {
            let bounds = &one.bounding_box;
            let bbox = [bounds.x1, bounds.y1, bounds.width(), bounds.height()];
            let category = category_id(one.class, classes);
            json!({"image_id": image, "category_id": category, "bbox": bbox, "score": one.score})
        }));
    }
    Value::Array(all).to_string()
}

fn image_id(origin: &str, index: usize) -> u64 {
    let stem = Path::new(origin).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let digits = !stem.is_empty() && stem.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| stem.parse().ok()).flatten().unwrap_or(index as u64 + 1)
}

fn category_id(class: usize, classes: &[String]) -> u64 {
    let is_coco = classes.len() == 80 && classes[0] == "person" && classes[79] == "toothbrush";
    let first = class as u64 + 1;
    match is_coco {
        true => GAPS.iter().fold(first, |id, gap| id + u64::from(id >= *gap)),
        false => first,
    }
}

#[cfg(test)]
mod tests {
    use kiln_core::BoundingBox;

    use super::*;

    #[test]
    fn classes_of_coco_have_its_numbers() {
        // `categories` of instances_val2017.json: person 1, stop sign 13, cup 47, toothbrush 90.
        let mut coco: Vec<String> = vec![String::new(); 80];
        (coco[0], coco[79]) = ("person".to_string(), "toothbrush".to_string());
        for (class, id) in [(0, 1), (10, 11), (11, 13), (41, 47), (79, 90)] {
            assert_eq!(category_id(class, &coco), id, "{class}");
        }
        assert_eq!(category_id(11, &coco[1..]), 12);
    }

    #[test]
    fn a_result_is_an_image_a_category_a_box_and_a_score() {
        let bounding_box = BoundingBox::from_xyxy([1.0, 2.0, 4.0, 8.0]);
        let found = [Detection { class: 1, score: 0.5, bounding_box }];
        let images = [("a/000139.jpg".to_string(), 7, &found[..]), ("a/dog.jpg".to_string(), 1, &found[..])];
        let text = results(images.into_iter(), &[]);
        let expected = json!([
            {"image_id": 139, "category_id": 2, "bbox": [1.0, 2.0, 3.0, 6.0], "score": 0.5},
            {"image_id": 2, "category_id": 2, "bbox": [1.0, 2.0, 3.0, 6.0], "score": 0.5},
        ]);
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), expected);
    }
}
