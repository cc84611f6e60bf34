"""How a bundle's `predict.py` reads raw input: one piece of its text for each kind of data.

Each piece defines `read(path, args)`, raw values (batch, *SHAPE) of one file, and `preprocess(raw)`, the network's
input. They repeat, without importing it, what `engine.data` does for training.
"""

from __future__ import annotations

STANDARDIZE = '''
def preprocess(raw):
    """Raw values (batch, *SHAPE) to what the network was trained on."""
    per_channel = (-1, *[1] * (len(SHAPE) - 1))
    mean = np.array(MEAN, dtype=np.float32).reshape(per_channel)
    std = np.array(STD, dtype=np.float32).reshape(per_channel)
    return (raw.astype(np.float32) / np.float32(SCALE) - mean) / std
'''

IMAGE = (
    '''
def read_image(path, invert=False):
    """Reads an image as raw values, shape (1, C, H, W): converted to grey or RGB, resized where needed."""
    from PIL import Image, ImageOps

    channels, height, width = SHAPE
    if channels not in (1, 3):
        raise SystemExit(f"{path}: this network reads {channels} channels; give a .npy file")
    with Image.open(path) as opened:
        image = ImageOps.exif_transpose(opened)
        if image.mode.startswith("I;16") or image.mode == "I":
            image = Image.fromarray((np.asarray(image, dtype=np.float64) / 257).clip(0, 255).astype(np.uint8))
        if "A" in image.getbands() or "transparency" in image.info:
            warn(f"{path}: transparency is dropped")
        image = image.convert("L" if channels == 1 else "RGB")
        if image.size != (width, height):
            warn(f"{path}: resized from {image.width}x{image.height} to {width}x{height}")
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        pixels = np.asarray(image, dtype=np.float32) / 255.0 * SCALE  # (H, W) or (H, W, C)
    if invert:
        pixels = SCALE - pixels
    return (pixels[None] if channels == 1 else pixels.transpose(2, 0, 1))[None]  # (1, C, H, W)


def read_array(path):
    """Reads raw values from a .npy file: one sample or a batch of them, channels first (or last for images)."""
    raw = np.load(path, allow_pickle=False)
    last = (*SHAPE[1:], SHAPE[0])
    if raw.shape == SHAPE[1:] and SHAPE[0] == 1:
        raw = raw[None]
    if raw.shape == SHAPE:
        raw = raw[None]
    elif raw.shape == last:
        raw = raw.transpose(2, 0, 1)[None]
    elif raw.shape[1:] == last:
        raw = raw.transpose(0, 3, 1, 2)
    if raw.shape[1:] != SHAPE:
        raise SystemExit(f"{path}: shape {raw.shape}; expected {SHAPE}, alone or in a batch")
    raw = raw.astype(np.float32)
    if not np.isfinite(raw).all():
        raise SystemExit(f"{path}: holds values that are not finite")
    if SCALE != 1 and raw.size and (raw.min() < 0 or raw.max() > SCALE):
        warn(f"{path}: values from {raw.min():g} to {raw.max():g}; raw values go from 0 to {SCALE:g}")
    return raw

'''
    + STANDARDIZE
    + '''

def read(path, args):
    """Raw values (batch, *SHAPE) of one file."""
    return read_array(path) if path.suffix == ".npy" else read_image(path, args.invert)
'''
)

SIGNAL = (
    '''
def read_wav(path):
    """Reads a clip of 8 or 16 bits from a .wav file as 16-bit values at RATE samples a second, shape (n,)."""
    try:
        with wave.open(str(path), "rb") as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            content = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as e:
        raise SystemExit(f"{path}: no readable PCM .wav file ({e})") from e
    if width == 1:
        clip = (np.frombuffer(content, dtype=np.uint8).astype(np.float64) - 128) * 256
    elif width == 2:
        clip = np.frombuffer(content, dtype="<i2").astype(np.float64)
    else:
        raise SystemExit(f"{path}: {8 * width} bits; expected 8 or 16")
    if channels > 1:
        warn(f"{path}: the mean of {channels} channels is used")
        clip = clip.reshape(-1, channels).mean(axis=1)
    if not len(clip):
        raise SystemExit(f"{path}: holds no sample")
    if rate != RATE:
        warn(f"{path}: resampled from {rate} to {RATE} samples a second, without a filter")
        n = max(1, round(len(clip) * RATE / rate))
        clip = np.interp(np.arange(n) * rate / RATE, np.arange(len(clip)), clip)
    return clip


def fit(clip, path):
    """A clip (n,) to raw values (1, 1, L): cut or filled with silence, then the mean of each STRIDE samples."""
    if len(clip) > LENGTH:
        warn(f"{path}: only the first {LENGTH} of {len(clip)} samples are read")
    out = np.zeros(LENGTH // STRIDE * STRIDE)
    n = min(len(clip), len(out))
    out[:n] = clip[:n]
    return np.rint(out.reshape(-1, STRIDE).mean(axis=1))[None, None]


def read_array(path):
    """Reads a .npy file: a clip in a row, or samples of SHAPE as they were trained on, alone or in a batch."""
    raw = np.load(path, allow_pickle=False)
    if raw.dtype.kind not in "iuf" or not raw.size or not np.isfinite(raw).all():
        raise SystemExit(f"{path}: expected finite numbers")
    if np.abs(raw.astype(np.float64)).max() > SCALE or (SCALE > 2 and np.abs(raw).max() <= 1):
        warn(f"{path}: values from {raw.min():g} to {raw.max():g}; raw values go from -{SCALE:g} to {SCALE:g}")
    if raw.ndim == 1 and RATE:
        raw = fit(raw, path)
    elif raw.shape == SHAPE[1:] and SHAPE[0] == 1:
        raw = raw[None]
    if raw.shape == SHAPE:
        raw = raw[None]
    if raw.shape[1:] != SHAPE:
        raise SystemExit(f"{path}: shape {raw.shape}; expected {SHAPE}, alone or in a batch@ORCLIP@")
    return raw.astype(np.float32)

'''
    + STANDARDIZE
    + '''

def read(path, args):
    """Raw values (batch, *SHAPE) of one file."""
    if path.suffix == ".npy":
        return read_array(path)
    if not RATE or SHAPE[0] != 1:
        raise SystemExit(f"{path}: this network reads .npy files of shape {SHAPE}")
    return fit(read_wav(path), path)
'''
)

TEXT = '''
def words():
    """Number of each known word; the words are in architecture.json."""
    about = json.loads((HERE / "architecture.json").read_text(encoding="utf-8"))["preprocessing"]
    return {word: i for i, word in enumerate(about["words"], start=2)}


def encode(lines, path):
    """Texts to word numbers (batch, L): 0 behind the end, 1 for a word that training did not know."""
    known, out = words(), []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        # lower-cased words and single signs, as in training
        tokens = re.findall(r"\\w+|[^\\w\\s]", unicodedata.normalize("NFC", line).lower())
        if not tokens:
            raise SystemExit(f"{path}, line {number}: holds no word")
        if len(tokens) > SHAPE[0]:
            warn(f"{path}, line {number}: only the first {SHAPE[0]} of {len(tokens)} words are read")
        row = [known.get(token, 1) for token in tokens[: SHAPE[0]]]
        if all(n == 1 for n in row):
            warn(f"{path}, line {number}: no word of it was known in training")
        out.append(row + [0] * (SHAPE[0] - len(row)))
    if not out:
        raise SystemExit(f"{path}: holds no text")
    return np.array(out, dtype=np.int64)


def read_array(path):
    """Reads word numbers from a .npy file: one sample or a batch of them."""
    raw = np.load(path, allow_pickle=False)
    if raw.shape == SHAPE:
        raw = raw[None]
    if raw.shape[1:] != SHAPE or raw.dtype.kind not in "iu":
        raise SystemExit(f"{path}: {raw.dtype} of shape {raw.shape}; expected whole numbers of shape {SHAPE}")
    if raw.size and (raw.min() < 0 or raw.max() >= VOCABULARY):
        raise SystemExit(f"{path}: numbers from {raw.min()} to {raw.max()}; words have 0 to {VOCABULARY - 1}")
    return raw


def preprocess(raw):
    """Word numbers as the network reads them."""
    return raw.astype(np.int64)


def read(path, args):
    """Word numbers (batch, L) of one file; "-" is standard input."""
    if path.suffix == ".npy":
        return read_array(path)
    try:
        text = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
        lines = text.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as e:
        raise SystemExit(f"{path}: not UTF-8 ({e.reason} at byte {e.start})") from e
    return encode(lines, path)
'''

TABLE = (
    '''
def read_csv(path):
    """Reads rows by the names of their columns: numbers, and the codes of categories. Other columns are ignored."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            rows = [(reader.line_num, row) for row in reader if row]
    except (csv.Error, UnicodeDecodeError) as e:
        raise SystemExit(f"{path}: no readable CSV file in UTF-8 ({e})") from e
    absent = [name for name, _ in COLUMNS if name not in header]
    if absent:
        raise SystemExit(f"{path}: the header lacks {', '.join(absent)}")
    doubled = [name for name, _ in COLUMNS if header.count(name) > 1]
    if doubled:
        raise SystemExit(f"{path}: the header has {', '.join(doubled)} more than once")
    if not rows:
        raise SystemExit(f"{path}: holds no row")
    out = np.zeros((len(rows), len(COLUMNS)), dtype=np.float32)
    places = [header.index(name) for name, _ in COLUMNS]
    for values, (number, row) in zip(out, rows):
        if len(row) != len(header):
            raise SystemExit(f"{path}, line {number}: {len(row)} fields, the header has {len(header)}")
        for i, (name, categories) in enumerate(COLUMNS):
            where = f"{path}, line {number}, column {name}"
            values[i] = code(row[places[i]].strip(), categories, MEAN[i] * SCALE, where)
    return out


def code(value, categories, mean, where):
    """A field as a number: a missing number is the column's mean, categories have the numbers of training."""
    if not categories:
        if value in MISSING:
            return mean
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if not np.isfinite(number):
            raise SystemExit(f"{where}: {value!r} is no number")
        return number
    name = "(missing)" if value in MISSING else value
    if name not in categories:
        if "(other)" not in categories:
            raise SystemExit(f"{where}: {value!r} is none of {', '.join(categories)}")
        warn(f"{where}: {value!r} was rare or unknown in training")
        name = "(other)"
    return categories.index(name)


def read_array(path):
    """Reads columns from a .npy file, categories as codes: one row or several."""
    raw = np.load(path, allow_pickle=False)
    if raw.shape == SHAPE:
        raw = raw[None]
    if raw.shape[1:] != SHAPE:
        raise SystemExit(f"{path}: shape {raw.shape}; expected {SHAPE}, alone or in a batch")
    raw = raw.astype(np.float32)
    if not np.isfinite(raw).all():
        raise SystemExit(f"{path}: holds values that are not finite")
    for i, (name, categories) in enumerate(COLUMNS):
        codes = raw[:, i]
        if categories and ((codes < 0) | (codes >= len(categories)) | (codes != np.rint(codes))).any():
            raise SystemExit(f"{path}, column {name}: codes go from 0 to {len(categories) - 1}")
    return raw

'''
    + STANDARDIZE
    + '''

def read(path, args):
    """Raw values (batch, columns) of one file."""
    if path.suffix == ".npy":
        return read_array(path)
    if not COLUMNS:
        raise SystemExit(f"{path}: this network reads .npy files of shape {SHAPE}")
    return read_csv(path)
'''
)

READERS = {"image": IMAGE, "signal": SIGNAL, "text": TEXT, "table": TABLE}
