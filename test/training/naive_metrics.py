"""The seven metrics once more, written to be checked by eye and for nothing else.

Two-dimensional kernels slid over every pixel, discrete Fourier transforms as matrix products,
histograms and wavelet blocks in loops; no OpenCV, no FFT, no separable filter, no code shared
with training.metrics. Float64 images, 0..255.
"""

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


def score(a, b, f):
    a, b, f = (np.asarray(image, float) for image in (a, b, f))
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "q_mi": q_mi(a, b, f),
            "q_g": q_g(a, b, f),
            "q_m": q_m(a, b, f),
            "vif": (vif(a, f) + vif(b, f)) / 2,
            "q_cb": q_cb(a, b, f),
            "ssim": (ssim(a, f) + ssim(b, f)) / 2,
            "qabf": qabf(a, b, f),
        }


def slide(image, kernel, padded):
    margin = len(kernel) // 2
    image = np.pad(image, margin) if padded else image
    return np.einsum("hwij,ij->hw", sliding_window_view(image, kernel.shape), kernel)


def bell(size, sigma):
    r = size // 2
    y, x = np.mgrid[-r : r + 1, -r : r + 1]
    return np.exp(-(x**2 + y**2) / (2 * sigma**2))


def sobel(image):
    right = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    return slide(image, right, True), slide(image, right.T, True)


def stretched(image):
    low, high = image.min(), image.max()
    return np.floor(((image - low) / (high - low)) * 255 + 0.5) if high > low else image * 0


def q_mi(a, b, f):
    def entropy(outcomes):
        counts = {}
        for outcome in outcomes:
            counts[outcome] = counts.get(outcome, 0) + 1
        total = sum(counts.values())
        return -sum(n / total * math.log2(n / total) for n in counts.values())

    def term(s):
        s, t = stretched(s).ravel().tolist(), stretched(f).ravel().tolist()
        both = entropy(s) + entropy(t)
        return (both - entropy(zip(s, t, strict=True))) / both if both else 0

    return 2 * (term(a) + term(b))


def q_g(a, b, f):
    def edges(image):
        gx, gy = sobel(image)
        g = np.sqrt(gx**2 + gy**2)
        gx[gx == 0] = 1e-5
        return g, np.arctan(gy / gx)

    g_f, o_f = edges(f)
    values, weights = [], []
    for source in (a, b):
        g, o = edges(source)
        larger = g > g_f
        g[g == 0] = 1e-5
        r1 = g_f / g
        g_f[g_f == 0] = 1e-5
        strength = np.where(larger, r1, g / g_f)
        angle = np.abs(np.abs(o - o_f) - np.pi / 2) * 2 / np.pi
        curve = 1 / (1 + np.exp(-10 * (strength - 0.5)))
        values.append(curve / (1 + np.exp(-20 * (angle - 0.75))))
        weights.append(g)
    return np.mean(sum(v * w for v, w in zip(values, weights, strict=True)) / sum(weights))


def q_m(a, b, f):
    def haar(image):
        rows, columns = image.shape[0] // 2, image.shape[1] // 2
        bands = np.empty((4, rows, columns))
        for y in range(rows):
            for x in range(columns):
                (p, q), (r, s) = image[2 * y : 2 * y + 2, 2 * x : 2 * x + 2]
                bands[:, y, x] = p + q + r + s, r + s - p - q, q + s - p - r, p + s - q - r
        return bands / 2

    qualities = []
    for _ in range(2):
        (a, *d_a), (b, *d_b), (f, *d_f) = haar(a), haar(b), haar(f)
        above = below = 0
        for details in (d_a, d_b):
            w = sum(d**2 for d in details)
            e = sum(np.exp(-np.abs(d - g)) for d, g in zip(details, d_f, strict=True))
            above, below = above + (e * w).sum(), below + w.sum()
        qualities.append(above / below if below else 0)
    return qualities[0] ** (2 / 3) * qualities[1] ** (1 / 3)


def vif(r, d):
    above = below = 0
    for size in (17, 9, 5, 3):
        w = bell(size, size / 5)
        w = w / w.sum()
        if size < 17:
            r, d = slide(r, w, False)[::2, ::2], slide(d, w, False)[::2, ::2]
        m_r, m_d = slide(r, w, False), slide(d, w, False)
        s_r = np.maximum(slide(r * r, w, False) - m_r**2, 0)
        s_d = np.maximum(slide(d * d, w, False) - m_d**2, 0)
        c = slide(r * d, w, False) - m_r * m_d
        for v, v_d, cov in zip(s_r.flat, s_d.flat, c.flat, strict=True):
            v_r = v if v >= 1e-10 else 0
            g = cov / (v + 1e-10)
            n = v_d - g * cov
            if v_r == 0:
                g, n = 0, v_d
            if v_d < 1e-10:
                g, n = 0, 0
            if g < 0:
                g, n = 0, v_d
            n = max(n, 1e-10)
            above += math.log10(1 + g * g * v_r / (n + 2))
            below += math.log10(1 + v_r / 2)
    return above / below if below else 1


def q_cb(a, b, f):
    def spectrum_matrix(n):
        k = np.arange(n) - n // 2
        return k / 15, np.exp(-2j * np.pi * np.outer(k, np.arange(n)) / n)

    def contrast(image):
        (v, rows), (u, columns) = (spectrum_matrix(n) for n in image.shape)
        r2 = v[:, None] ** 2 + u[None, :] ** 2
        weight = np.exp(-r2 / 15.3870**2) - 0.7622 * np.exp(-r2 / 1.3456**2)
        spectrum = rows @ stretched(image) @ columns.T * weight
        y = (rows.conj().T @ spectrum @ columns.conj()).real / image.size
        fine, coarse = (slide(y, bell(31, s) / (2 * np.pi * s * s), True) for s in (2, 4))
        c = np.abs(np.where(coarse == 0, 1, fine / coarse) - 1)
        return c**3 / (c**2 + 0.0001)

    p_a, p_b, p_f = contrast(a), contrast(b), contrast(f)
    total = 0.0
    for x, y, z in zip(p_a.flat, p_b.flat, p_f.flat, strict=True):
        for p in (x, y):
            if p:
                total += p * p / (x * x + y * y) * (p / z if p < z else z / p)
    return total / p_f.size


def ssim(x, y):
    w = bell(11, 1.5)
    w = w / w.sum()
    m_x, m_y = slide(x, w, False), slide(y, w, False)
    s_x, s_y = slide(x * x, w, False) - m_x**2, slide(y * y, w, False) - m_y**2
    s_xy = slide(x * y, w, False) - m_x * m_y
    c1, c2 = 2.55**2, 7.65**2
    above = (2 * m_x * m_y + c1) * (2 * s_xy + c2)
    return np.mean(above / ((m_x**2 + m_y**2 + c1) * (s_x + s_y + c2)))


def qabf(a, b, f):
    def edges(image):
        gx, gy = sobel(image)
        return np.hypot(gx, gy), np.where(gx == 0, np.pi / 2, np.arctan(-gy / gx))

    g_f, o_f = edges(f)
    above = below = 0
    for source in (a, b):
        g, o = edges(source)
        strength = np.where(
            g == g_f, g_f, np.where(g > g_f, g_f / g, g / np.where(g_f == 0, 1, g_f))
        )
        angle = 1 - np.abs(o - o_f) / (np.pi / 2)
        curve = 0.9994 / (1 + np.exp(-15 * (strength - 0.5)))
        curve = curve * 0.9879 / (1 + np.exp(-22 * (angle - 0.8)))
        above, below = above + (curve * g).sum(), below + g.sum()
    return above / below if below else 0
