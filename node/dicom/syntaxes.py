"""The transfer syntaxes that we can read (PS3.5 chapter 10); why not the deflated one: `node/dimse/contexts.py`."""

from pydicom import uid

IMPLICIT = str(uid.ImplicitVRLittleEndian)
EXPLICIT = str(uid.ExplicitVRLittleEndian)
BIG_ENDIAN = str(uid.ExplicitVRBigEndian)
UNCOMPRESSED = (EXPLICIT, IMPLICIT, BIG_ENDIAN)

TRANSFER_SYNTAXES = frozenset(
    {
        *UNCOMPRESSED,
        str(uid.RLELossless),
        str(uid.JPEGBaseline8Bit),
        str(uid.JPEGExtended12Bit),
        str(uid.JPEGLossless),
        str(uid.JPEGLosslessSV1),
        str(uid.JPEGLSLossless),
        str(uid.JPEGLSNearLossless),
        str(uid.JPEG2000Lossless),
        str(uid.JPEG2000),
        str(uid.HTJ2KLossless),
        str(uid.HTJ2KLosslessRPCL),
        str(uid.HTJ2K),
    }
)

LOSSLESS = TRANSFER_SYNTAXES - {
    str(each) for each in (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLSNearLossless, uid.JPEG2000, uid.HTJ2K)
}
