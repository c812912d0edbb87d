package db

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// The driver knows uuid.UUID only as something that writes and reads text: an
// identifier would travel as 36 characters, formatted and parsed at each end. These
// plans hand it over as 16 bytes.

type plainUUID uuid.UUID

// ScanUUID takes the bytes from the driver.
func (u *plainUUID) ScanUUID(v pgtype.UUID) error {
	*u = plainUUID(v.Bytes)
	return nil
}

// UUIDValue gives the bytes to the driver.
func (u plainUUID) UUIDValue() (pgtype.UUID, error) {
	return pgtype.UUID{Bytes: u, Valid: true}, nil
}

type encodeUUID struct{ next pgtype.EncodePlan }

func (p *encodeUUID) SetNext(next pgtype.EncodePlan) { p.next = next }

func (p *encodeUUID) Encode(value any, buf []byte) ([]byte, error) {
	return p.next.Encode(plainUUID(value.(uuid.UUID)), buf)
}

type scanUUID struct{ next pgtype.ScanPlan }

func (p *scanUUID) SetNext(next pgtype.ScanPlan) { p.next = next }

func (p *scanUUID) Scan(src []byte, target any) error {
	return p.next.Scan(src, (*plainUUID)(target.(*uuid.UUID)))
}

func plainUUIDs(_ context.Context, conn *pgx.Conn) error {
	types := conn.TypeMap()
	types.TryWrapEncodePlanFuncs = append([]pgtype.TryWrapEncodePlanFunc{func(value any) (pgtype.WrappedEncodePlanNextSetter, any, bool) {
		if v, ok := value.(uuid.UUID); ok {
			return &encodeUUID{}, plainUUID(v), true
		}
		return nil, nil, false
	}}, types.TryWrapEncodePlanFuncs...)
	types.TryWrapScanPlanFuncs = append([]pgtype.TryWrapScanPlanFunc{func(target any) (pgtype.WrappedScanPlanNextSetter, any, bool) {
		if v, ok := target.(*uuid.UUID); ok {
			return &scanUUID{}, (*plainUUID)(v), true
		}
		return nil, nil, false
	}}, types.TryWrapScanPlanFuncs...)
	return nil
}
