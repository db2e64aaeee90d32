"""The commands that make the datasets: one of every kind, with every option that matters to the bytes."""

PHOTOS = "--size 24 --per-photo 2 --shard-length 4 --seed 3"
PATHS = "--steps 200 --length 4:12"
SLOW = "--size 16 --motion 12 --shard-length 1 --workers 1"
FRAMES = "--shard-length 4 --seed 3"
# A line is a command, in an order in which each finds what it reads; `stop` before it: one that is stopped when its
# first shard is there.
DATASETS = f"""
trajectories --n 10 --steps 200 --length 5:20 --seed 4 --shard-length 4 --out datasets/trajectories.zarr
trajectories --n 5 --preset deblurgan --steps 100 --out datasets/trajectories-deblurgan.zarr
trajectories --n 5 --preset algorithm-1 --steps 100 --anxiety 0.01,0.02 --out datasets/trajectories-printed.zarr
trajectories --n 5 --steps 100 --seed 5 --shard-length 4 --out datasets/trajectories-longer.zarr
psfs datasets/trajectories-longer.zarr --size 77 --shard-length 3 --out datasets/psfs-longer.zarr
trajectories --n 9 --steps 100 --seed 5 --append --out datasets/trajectories-longer.zarr
psfs datasets/trajectories-longer.zarr --size 77 --shard-length 3 --append --out datasets/psfs-longer.zarr
psfs datasets/trajectories.zarr --exposures 0.1,1 --size 33 --shard-length 8 --out datasets/psfs.zarr
psfs datasets/trajectories.zarr --size 40 --centring bounding-box --out datasets/psfs-box.zarr
convolve inputs/photos {PHOTOS} {PATHS} --out datasets/convolve.zarr
convolve inputs/photos/1.png --size 24 {PATHS} --out datasets/convolve-photo.zarr
convolve inputs/kinds --size 24 --no-psf {PATHS} --out datasets/convolve-kinds.zarr
convolve inputs/cut {PHOTOS} {PATHS} --out datasets/convolve-cut.zarr
convolve inputs/same {PATHS} --transfer linear --splits train=0.5,test=0.5 --out datasets/convolve-whole.zarr
convolve inputs/photos {PHOTOS} {PATHS} --fit resize --transfer srgb --no-psf --out datasets/convolve-resized.zarr
convolve inputs/photos {PHOTOS} {PATHS} --preset deblurgan --exposure 0.1,0.5,1 --psf-size 25 \
    --out datasets/convolve-exposures.zarr
convolve inputs/photos {PHOTOS} --trajectories datasets/trajectories.zarr --exposure 0.1,1 \
    --out datasets/convolve-trajectories.zarr
convolve inputs/photos {PHOTOS} {PATHS} --field 2x3 --variation 0:0.5 --out datasets/convolve-field.zarr
convolve inputs/photos {PHOTOS} {PATHS} --transfer srgb --realism rsblur --out datasets/convolve-rsblur.zarr
convolve inputs/photos {PHOTOS} {PATHS} --transfer srgb --realism realblur --realism saturation=off \
    --realism sensor.read=1e-3 --realism jpeg=60:95 --out datasets/convolve-realblur.zarr
convolve inputs/photos {PHOTOS} {PATHS} --transfer linear --realism lai --out datasets/convolve-lai.zarr
convolve inputs/photos {PHOTOS} {PATHS} --realism gaussian --realism response=inputs/response.csv \
    --out datasets/convolve-gaussian.zarr
convolve scenes:3 --size 32 {PATHS} --seed 3 --out datasets/scenes.zarr
convolve inputs/few {PHOTOS} {PATHS} --out datasets/convolve-longer.zarr
convolve inputs/more {PHOTOS} {PATHS} --append --out datasets/convolve-longer.zarr
shake inputs/photos {PHOTOS} --motion 2:9 --readout 0.5 --out datasets/shake.zarr
shake inputs/photos {PHOTOS} --preset lai --motion 2:9 --no-path --out datasets/shake-lai.zarr
shake inputs/photos {PHOTOS} --path boracchi-foi --rotation 0.2:0.5 --translation 0.001 --forward 0.002 --depth 1:3 \
    --focal 60 --target first --knots 64 --realism rsblur --transfer srgb --out datasets/shake-first.zarr
shake inputs/photos {PHOTOS} --gyro inputs/gyro.csv --exposure 0.05:0.2 --out datasets/shake-gyro.zarr
shake inputs/photos {PHOTOS} --gyro inputs/bare.csv --gyro-columns time,x,y,z --gyro-scale 0.7 --exposure 0.1 \
    --preset lai --out datasets/shake-gyro-lai.zarr
shake inputs/photos {PHOTOS} --depth inputs/depth --translation 0.02 --rotation 0 --motion 2:6 \
    --out datasets/shake-depth.zarr
shake inputs/photos {PHOTOS} --depth inputs/depth --depth-scale 0.002 --layers 3 --motion 2:6 \
    --splits test=1 --out datasets/shake-layers.zarr
psfs datasets/shake.zarr --grid 2x2 --shard-length 4 --out datasets/psfs-cameras.zarr
objects inputs/photos {PHOTOS} --masks inputs/instances.json --motion 2:5 --object-motion 3:9 --readout 0.5 \
    --out datasets/objects.zarr
objects inputs/photos {PHOTOS} --masks inputs/panoptic.json --motion 0 --object-motion 3:9 \
    --object-path boracchi-foi --out datasets/objects-panoptic.zarr
objects inputs/photos {PHOTOS} --masks inputs/yolo --motion 2:5 --object-motion 3:9 --spin 1 --grow 1 --objects 1 \
    --realism realblur --transfer srgb --out datasets/objects-yolo.zarr
average-frames inputs/frames {FRAMES} --frames 7 --out datasets/frames.zarr
average-frames inputs/clips {FRAMES} --frames 5-9 --size 24 --per-window 2 --min-motion 2 --max-step 20 \
    --out datasets/frames-clips.zarr
average-frames inputs/clips {FRAMES} --frames 5 --stride 4 --gamma 1 --rounding floor --no-motion --target 0 \
    --size 16 --crop grid --out datasets/frames-grid.zarr
average-frames inputs/frames {FRAMES} --frames 5 --interpolate 3 --response inputs/response.csv --realism jpeg=80 \
    --out datasets/frames-interpolated.zarr
average-frames inputs/slow.mp4 {FRAMES} --frames 5,7 --allow-fps --duty-cycle 0.5 --transfer srgb \
    --realism rsblur --out datasets/frames-slow.zarr
average-frames inputs/large {FRAMES} --splits folder --out datasets/frames-large.zarr
average-frames inputs/large {FRAMES} --splits folder --preset kohler --out datasets/frames-codes.zarr
average-frames inputs/frames {FRAMES} --preset deblurgan-detection --out datasets/frames-detection.zarr
average-frames inputs/damaged.mkv {FRAMES} --frames 5 --allow-damaged --out datasets/frames-damaged.zarr
average-frames inputs/frames {FRAMES} --frames 7 --fps 240 --out datasets/frames-longer.zarr
average-frames inputs/frames inputs/clips/moving.mp4 {FRAMES} --frames 7 --fps 240 --append \
    --out datasets/frames-longer.zarr
export datasets/convolve.zarr exports/flat --to flat
export datasets/frames-clips.zarr exports/gopro --to gopro
export datasets/convolve-resized.zarr exports/tars --to webdataset --pairs-per-tar 3
import flat exports/flat --out datasets/import-flat.zarr
import gopro exports/gopro --out datasets/import-gopro.zarr
import webdataset exports/tars --out datasets/import-tars.zarr
import gopro inputs/gopro --blurred blur --partial --shard-length 3 --out datasets/import-published.zarr
import flat inputs/reds --transfer gamma2.2 --size 16 --per-pair 2 --seed 3 --out datasets/import-crops.zarr
import webdataset inputs/tars --transfer srgb --out datasets/import-other-tars.zarr
import kohler inputs/kohler --transfer unknown --partial --out datasets/import-kohler.zarr
import lai inputs/lai --partial --out datasets/import-lai.zarr
import lai inputs/lai --partial --blurred kernel --size 20 --split val --out datasets/import-lai-crops.zarr
make inputs/recipe.toml --out made --source photos=inputs/photos --set photos.per_photo=1
make smoke/handheld-realistic-data --out shipped --set photos.size=24
stop shake {SLOW} scenes:12 --seed 3 --out datasets/unfinished.zarr
shake {SLOW} scenes:12 --seed 3 --out datasets/finished.zarr
shake {SLOW} inputs/few --per-photo 3 --out datasets/growing.zarr
stop shake {SLOW} inputs/more --per-photo 3 --append --out datasets/growing.zarr
"""
RECIPE = """
seed = 2

[paths]
command = "trajectories"
n = 6
steps = 100
length = "5:12"

[kernels]
command = "psfs"
source = "paths.zarr"
exposures = "0.5,1"
size = 25

[photos]
command = "convolve"
source = "elsewhere/"
size = 24
per_photo = 2
trajectories = "paths.zarr"
realism = { preset = "rsblur", jpeg = "70:95" }
transfer = "srgb"

[frames]
command = "average-frames"
source = "inputs/frames"
frames = "7-9"

[imported]
command = "import"
source = ["gopro", "inputs/gopro"]
blurred = "blur_gamma"
partial = true
"""
